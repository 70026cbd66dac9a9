import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { lastWords, type StreamDialect } from "../domain/stream-dialect.ts";
import { EventRelay } from "./event-relay.ts";

const EVENT_BYTES_MAX = 200;

interface Relayed {
  readonly passed: string;
  readonly isDone: boolean;
  readonly hasFailed: boolean;
}

/** What a client gets of an engine's stream that comes in these chunks and then breaks off, or `ends` in good order. */
function relayed(chunks: readonly Buffer[], dialect: StreamDialect, ends = false): Relayed {
  const relay = new EventRelay(EVENT_BYTES_MAX, dialect);
  const passed: Uint8Array[] = [];
  for (const chunk of chunks) {
    passed.push(...relay.take(chunk));
    if (relay.isOverfull) break;
  }
  if (relay.isDone || ends) passed.push(...relay.end());
  return { passed: Buffer.concat(passed).toString("latin1"), isDone: relay.isDone, hasFailed: relay.hasFailed };
}

const line = fc.oneof(
  fc.constantFrom(
    "data: [DONE]",
    "data: x",
    "event: message_stop",
    "event: error",
    ": comment",
    "",
    'data: {"error":{}}',
    "[DONE]",
  ),
  fc.string({ maxLength: 30 }).map((text) => text.replaceAll(/[\r\n]/g, "")),
);
const stream = fc
  .array(fc.tuple(line, fc.constantFrom("\n", "\r\n", "\r", "\n\n", "")), { maxLength: 20 })
  .map((lines) => Buffer.from(lines.map(([text, end]) => text + end).join(""), "latin1"));
const dialect = fc.constantFrom<StreamDialect>("openai", "anthropic", "responses", "plain");

function inChunks(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
    const size = sizes[turn % sizes.length] ?? 1;
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return chunks;
}

describe("EventRelay", () => {
  it("passes whole events only, whatever the engine says and wherever it is cut, so that ours can stand behind them", () => {
    fc.assert(
      fc.property(
        stream,
        fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 8 }),
        dialect,
        (bytes, sizes, kind) => {
          const { passed, isDone } = relayed(inChunks(bytes, sizes), kind);
          // A prefix of what the engine said, but for the line breaks that end its last event.
          expect(bytes.toString("latin1").startsWith(isDone ? passed.trimEnd() : passed)).toBe(true);
          if (passed !== "") expect(passed).toMatch(/(\r\n|\r|\n)(\r\n|\r|\n)$|^[\r\n]+$/);
          // Nothing follows the event that ends an answer.
          const events = passed.replaceAll(/\r\n|\r/g, "\n").split("\n\n");
          const end = events.findIndex((event) => /^data: ?\[DONE\]\s*$/m.test(event));
          if (end !== -1)
            expect(
              events
                .slice(end + 1)
                .join("")
                .trim(),
            ).toBe("");
          if (isDone) return;
          const whole = passed + lastWords(kind, { error: { message: "broken" } });
          expect(whole).toMatch(/data: \{.*"message":"broken"\}?.*\}\n\n(data: \[DONE\]\n\n)?$/);
        },
      ),
      { numRuns: 1_000 },
    );
  });

  it("passes on an error that the engine has said last, or says that there was none, where the stream ends in good order", () => {
    fc.assert(
      fc.property(
        stream,
        fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 8 }),
        fc.constantFrom<StreamDialect>("openai", "anthropic", "responses"),
        (bytes, sizes, kind) => {
          fc.pre(bytes.length < EVENT_BYTES_MAX);
          const { passed, isDone, hasFailed } = relayed(inChunks(bytes, sizes), kind, true);
          expect(bytes.toString("latin1").startsWith(passed.trimEnd())).toBe(true);
          if (passed !== "") expect(passed).toMatch(/(\r\n|\r|\n)(\r\n|\r|\n)$|^[\r\n]+$/);
          if (isDone || !hasFailed) return;
          const lines = passed.split(/\r\n|\r|\n/);
          const at = lines.findLastIndex((text) => text.startsWith("data:"));
          const isNamed = lines.slice(0, at).some((text) => text.trimEnd() === "event: error");
          expect(isNamed || lines[at]?.startsWith('data: {"error":{}}')).toBe(true);
        },
      ),
      { numRuns: 1_000 },
    );
  });

  it("passes on an error without its empty line at the end of a stream, and no half of one", () => {
    const failed = (text: string): Relayed => relayed([Buffer.from(text)], "openai", true);
    const own = 'data: {"error":{}}';
    for (const end of ["", "\n", "\r\n", "\n\n"]) expect(failed(own + end)).toMatchObject({ hasFailed: true, isDone: false });
    expect(failed(`${own}\n`).passed).toBe(`${own}\n\n`);
    expect(failed(own).passed).toBe(`${own}\n\n`);
    expect(failed(`${own}\n\n: comment`)).toMatchObject({ passed: `${own}\n\n`, hasFailed: true });
    expect(failed(own.slice(0, -1))).toMatchObject({ passed: "", hasFailed: false });
    expect(failed(`${own}\n\n${own.slice(0, -1)}`)).toMatchObject({ passed: `${own}\n\n`, hasFailed: false });
  });

  it("gives the same to the client however the stream is cut", () => {
    fc.assert(
      fc.property(
        stream,
        fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 8 }),
        dialect,
        (bytes, sizes, kind) => {
          fc.pre(bytes.length < EVENT_BYTES_MAX);
          const once = relayed([bytes], kind);
          const cut = relayed(inChunks(bytes, sizes), kind);
          // The second half of a last CRLF may come too late, and nobody misses it.
          expect({ ...cut, passed: cut.passed.trimEnd() }).toEqual({ ...once, passed: once.passed.trimEnd() });
        },
      ),
    );
  });

  it("notices an event that is too large", () => {
    const relay = new EventRelay(EVENT_BYTES_MAX, "openai");
    relay.take(Buffer.from(`data: ${"x".repeat(EVENT_BYTES_MAX)}`));
    expect(relay.isOverfull).toBe(true);
  });
});
