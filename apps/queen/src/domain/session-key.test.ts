import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { sessionKeyOf } from "./session-key.ts";

const bytesOf = (value: unknown, space?: number): Uint8Array => new TextEncoder().encode(JSON.stringify(value, null, space));
const keyOf = (value: unknown): number | null => sessionKeyOf([bytesOf(value)]);
const user = (content: unknown): object => ({ role: "user", content });
const assistant = (content: string): object => ({ role: "assistant", content });
const system = { role: "system", content: 'You are { a "hive" } [, \\' };

describe("sessionKeyOf", () => {
  it("stays the same for all turns of a conversation, whatever else the body says", () => {
    const text = fc.string({ unit: "grapheme", maxLength: 60 });
    fc.assert(
      fc.property(text, fc.array(fc.tuple(text, text), { maxLength: 4 }), fc.boolean(), (question, turns, withSystem) => {
        const lead = [...(withSystem ? [system] : []), user(question)];
        const later = turns.flatMap(([answer, next]) => [assistant(answer), user(next)]);
        const first = keyOf({ model: "m", messages: lead });
        expect(first).not.toBeNull();
        expect(keyOf({ stream: true, model: "m", tools: [{ messages: [1] }], messages: [...lead, ...later], n: 1 })).toBe(first);
      }),
    );
  });

  it("differs between conversations that begin differently, also behind the same system message", () => {
    const keys = ["one", "two", "three"].map((question) => keyOf({ model: "m", messages: [system, user(question)] }));
    expect(new Set(keys).size).toBe(3);
    expect(keyOf({ messages: [user([{ type: "text", text: "one" }])] })).not.toBe(
      keyOf({ messages: [user([{ type: "text", text: "two" }])] }),
    );
  });

  it("does not depend on how the body was cut into chunks", () => {
    const body = bytesOf({ model: "m", messages: [system, user("héllo ".repeat(50))] }, 2);
    const whole = sessionKeyOf([body]);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: body.length }), { maxLength: 5 }), (cuts) => {
        const edges = [0, ...cuts.sort((one, other) => one - other), body.length];
        const chunks = edges.slice(1).map((end, index) => body.subarray(edges[index], end));
        expect(sessionKeyOf(chunks)).toBe(whole);
      }),
    );
  });

  it("takes the beginning of a prompt that is one text, and nothing where there is no conversation", () => {
    const long = "once upon a time ".repeat(100);
    expect(keyOf({ prompt: `${long} and then` })).toBe(keyOf({ prompt: `${long} and so on` }));
    expect(keyOf({ prompt: "a" })).not.toBe(keyOf({ prompt: "b" }));
    expect(keyOf({ model: "messages", stream: true })).toBeNull();
    expect(keyOf({ messages: null })).toBeNull();
    expect(keyOf({})).toBeNull();
    expect(sessionKeyOf([])).toBeNull();
  });

  it("looks at the first 64 KiB only", () => {
    const filler = "x".repeat(70_000);
    expect(keyOf({ filler, messages: [user("one")] })).toBeNull();
    expect(keyOf({ messages: [user(filler), user("one")] })).toBe(keyOf({ messages: [user(filler), user("two")] }));
  });
});
