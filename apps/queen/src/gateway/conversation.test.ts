import type { IncomingMessage } from "node:http";
import { describe, expect, it } from "vitest";
import { conversationOf } from "./conversation.ts";
import { GATEWAY_ROUTES } from "./routes.ts";

const chunks = [Buffer.from('{"model":"chat","messages":[{"role":"user","content":"hi"}]}')];
const of = (session: string, route = GATEWAY_ROUTES.postChatCompletions) => {
  const headers: IncomingMessage["headers"] = { "x-session-id": session };
  return conversationOf({ headers }, route, chunks);
};

describe("conversationOf", () => {
  it("knows a session by what its client calls it, in as little memory whatever that is", () => {
    expect(of("bees")).toBe(of("bees"));
    expect(of("bees")).not.toBe(of("wasps"));
    expect(of(`${"x".repeat(10_000)}1`)).not.toBe(of(`${"x".repeat(10_000)}2`));
    for (const session of ["bees", "x".repeat(16_000)]) expect(of(session)).toEqual(expect.any(Number));
    expect(of("bees", GATEWAY_ROUTES.postEmbeddings)).toBe(of("bees"));
  });

  it("knows one without a name by how it begins, where prompts are cached", () => {
    expect(of("")).toEqual(expect.any(Number));
    expect(of("")).not.toBe(of("bees"));
    expect(of("", GATEWAY_ROUTES.postEmbeddings)).toBeNull();
  });
});
