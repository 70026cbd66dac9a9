import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { UsageReader } from "./token-usage.ts";

const read = (...chunks: string[]) => {
  const reader = new UsageReader();
  for (const chunk of chunks) reader.take(Buffer.from(chunk));
  return reader.read();
};

describe("UsageReader", () => {
  it("finds usage at the end of a stream, also cut in two", () => {
    expect(
      read("data: {}\n\n".repeat(5_000), 'data: {"usage":{"prompt_to', 'kens":12,"completion_tokens": 34}}\n\ndata: [DONE]\n\n'),
    ).toEqual({
      promptTokens: 12,
      completionTokens: 34,
    });
  });

  it("finds usage at the start of a long answer", () => {
    expect(read(`{"usage":{"prompt_tokens":7,"total_tokens":7},"data":[${"0,".repeat(50_000)}0]}`)).toEqual({
      promptTokens: 7,
      completionTokens: null,
    });
  });

  it("does not believe text that speaks of usage", () => {
    expect(read(JSON.stringify({ content: '"prompt_tokens": 99' }))).toEqual({ promptTokens: null, completionTokens: null });
  });

  it("does not put together what stood apart", () => {
    const said = read(`${"x".repeat(2_030)}"prompt_tokens": 1`, "2".repeat(20_000));
    expect(said).toEqual({ promptTokens: 1, completionTokens: null });
  });

  it("keeps the end whole however it was cut", () => {
    const usage = '{"usage":{"prompt_tokens":12,"completion_tokens":34}}';
    const pieces = fc.array(fc.integer({ min: 1, max: 9_000 }), { maxLength: 12 });
    fc.assert(
      fc.property(pieces, fc.integer({ min: 1, max: usage.length }), (sizes, cut) => {
        const chunks = [...sizes.map((size) => "x".repeat(size)), usage.slice(0, cut), usage.slice(cut)];
        expect(read(...chunks)).toEqual({ promptTokens: 12, completionTokens: 34 });
      }),
    );
  });
});
