import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SSE_START, type SseState, scanSse } from "./sse.ts";

const ENDS = ["message_stop"];
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const complete = (text: string): string =>
  new TextDecoder().decode(bytes(text).subarray(0, scanSse(SSE_START, bytes(text), ENDS).completeBytes));
const after = (text: string): SseState => scanSse(SSE_START, bytes(text), ENDS).state;

describe("scanSse", () => {
  it("counts the bytes of complete events and leaves a begun one out", () => {
    expect(complete('data: {"a":1}\n\ndata: {"b"')).toBe('data: {"a":1}\n\n');
    expect(complete("data: x\r\n\r\ndata: y\r\n")).toBe("data: x\r\n\r\n");
    expect(complete("data: x\r\rdata: y\r")).toBe("data: x\r\r");
    expect(complete("data: x\n")).toBe("");
  });

  it("sees [DONE] only as a whole data line", () => {
    expect(after("data: [DONE]\n\n").done).toBe(true);
    expect(after("data:[DONE]\r\n\r\n").done).toBe(true);
    expect(after("data: [DONE]").done).toBe(false);
    expect(after("data: [DONE] no\n\n").done).toBe(false);
    expect(after('data: {"content":"data: [DONE]"}\n\n').done).toBe(false);
    expect(after(": [DONE]\n\n").done).toBe(false);
  });

  it("sees whether the last data line was an error object", () => {
    expect(after('data: {"error":{"message":"no"}}\n\n').failed).toBe(true);
    expect(after('data: { "error": 1}\n\ndata: {"choices":[]}\n\n').failed).toBe(false);
    expect(after('data: {"error": null,"choices":[]}\n\n').failed).toBe(false);
    expect(after('data: {"error" :\tnull}\n\n').failed).toBe(false);
    expect(after('data: {"error":1}\n\ndata: {"id":1}\n\n').failed).toBe(false);
    expect(after('data: {"error":1}\n\ndato: {"id":1}\n\n').failed).toBe(true);
    expect(after('event: error\ndata: {"id":1}\n\n').failed).toBe(true);
  });

  it("knows a line that is cut into chunks by its beginning", () => {
    const failed = after('data: {"error":1}\n\n');
    const afterBoth = (one: string, other: string): SseState =>
      scanSse(scanSse(failed, bytes(one), ENDS).state, bytes(other), ENDS).state;
    expect(afterBoth('data: {"id":1', "}\n\n").failed).toBe(false);
    expect(afterBoth(": ", 'data: {"id":1}\n\n').failed).toBe(true);
  });

  it("sees the last event of a dialect only when it is whole, and an error by its name", () => {
    expect(after("event: message_stop\ndata: {}\n").done).toBe(false);
    expect(after("event: message_stop\ndata: {}\n\n").done).toBe(true);
    expect(after("event: message_stopped\ndata: {}\n\n").done).toBe(false);
    expect(after('event: error\ndata: {"type":"error"}\n\n').failed).toBe(true);
    expect(after('event: error\ndata: {"type":"error"}\n\nevent: ping\ndata: {}\n\n').failed).toBe(false);
  });

  it("takes time that grows with the bytes and not with their square, also where lines end with CR alone", () => {
    const startMs = performance.now();
    scanSse(SSE_START, new Uint8Array(262_144).fill(13), ENDS);
    // It takes some 20 ms; searching the rest of the chunk for each line took a minute.
    expect(performance.now() - startMs).toBeLessThan(5_000);
  });

  it("makes no new state for whole events that change nothing", () => {
    expect(after('data: {"a":1}\n\n: comment\n\n')).toBe(SSE_START);
    const windows = after('data: {"a":1}\r\n\r\n');
    expect(windows).not.toBe(SSE_START);
    expect(scanSse(windows, bytes('data: {"b":2}\r\n\r\n'), ENDS)).toEqual({ state: windows, completeBytes: 17 });
    expect(after('data: {"error":{}}\n\n')).not.toBe(SSE_START);
  });

  it("does not look at what comes after the end", () => {
    expect(complete("data: [DONE]\n\ndata: [DONE]\n\n")).toBe("data: [DONE]\n\n");
    expect(complete("data: x\r\n\r\ndata: [DONE]\r\n\r\ndata: y\r\n\r\n")).toBe("data: x\r\n\r\ndata: [DONE]\r\n\r\n");
  });

  it("finds the same ends wherever the stream is cut into chunks", () => {
    const line = fc.constantFrom(
      "data: x",
      "data: [DONE]",
      "event: e",
      "event: message_stop",
      "event: error",
      ": comment",
      "",
      'data: {"error":1}',
      'data: {"id":1}',
      'data: {"end":1}',
      'data: {"',
      'dato: {"id":1}',
      "data: äöü",
    );
    const end = fc.constantFrom("\n", "\r\n", "\r");
    const stream = fc
      .array(fc.tuple(line, end), { maxLength: 12 })
      .map((lines) => lines.map(([text, stop]) => text + stop).join(""));
    fc.assert(
      fc.property(stream, fc.array(fc.integer({ min: 1, max: 24 }), { minLength: 1, maxLength: 40 }), (text, sizes) => {
        const whole = bytes(text);
        const once = scanSse(SSE_START, whole, ENDS);
        let state: SseState = SSE_START;
        let position = 0;
        let lastComplete = 0;
        for (let turn = 0; position < whole.length; turn += 1) {
          const chunk = whole.subarray(position, position + (sizes[turn % sizes.length] ?? 1));
          const scan = scanSse(state, chunk, ENDS);
          if (scan.completeBytes > 0) lastComplete = position + scan.completeBytes;
          state = scan.state;
          position += chunk.length;
        }
        expect(state).toEqual(once.state);
        expect(lastComplete).toBe(once.completeBytes);
      }),
    );
  });
});
