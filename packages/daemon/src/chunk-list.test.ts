import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ChunkList } from "./chunk-list.ts";

describe("ChunkList", () => {
  it("gives back what was put in, in order, large chunks as they are, and few for many small ones", () => {
    const sizes = fc.array(fc.oneof(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 4_090, max: 5_000 })), { maxLength: 900 });
    fc.assert(
      fc.property(sizes, (list) => {
        const put = list.map((size, index) => Buffer.alloc(size, index));
        const chunks = new ChunkList();
        for (const chunk of put) chunks.add(chunk);
        expect(chunks.bytes).toBe(list.reduce((sum, size) => sum + size, 0));
        const given = chunks.takeAll();
        expect(Buffer.concat(given).equals(Buffer.concat(put))).toBe(true);
        const large = put.filter(({ length }) => length >= 4_096);
        expect(large.every((chunk) => given.includes(chunk))).toBe(true);
        expect([chunks.bytes, chunks.takeAll()]).toEqual([0, []]);
      }),
    );
  });

  it("keeps 100,000 bytes that came one by one in a few hundred pieces", () => {
    const chunks = new ChunkList();
    for (let count = 0; count < 100_000; count += 1) chunks.add(Buffer.of(count % 256));
    expect(chunks.takeAll().length).toBeLessThan(700);
  });
});
