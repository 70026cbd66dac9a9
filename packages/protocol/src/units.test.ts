import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DURATION_PATTERN, formatBytes, formatDurationMs, parseDurationMs, parseSizeBytes, SIZE_PATTERN } from "./units.ts";

describe("durations", () => {
  it.each([
    ["500ms", 500],
    ["1.5s", 1_500],
    ["5m", 300_000],
    ["2h", 7_200_000],
    ["1d", 86_400_000],
    ["off", Number.POSITIVE_INFINITY],
  ])("reads %s as %d ms", (text, ms) => {
    expect(parseDurationMs(text)).toBe(ms);
  });

  it.each(["", "5", "5 s", "-1s", "1w", "s", "1e3s", "5S"])("refuses %j and says what to write", (text) => {
    expect(() => parseDurationMs(text)).toThrow(/cannot read .* as a duration; write 500ms/);
    expect(new RegExp(DURATION_PATTERN).test(text)).toBe(false);
  });

  it("are formatted as people read them", () => {
    expect([850, 12_300, 250_000, 7_500_000, 273_600_000].map(formatDurationMs)).toEqual([
      "850ms",
      "12.3s",
      "4m 10s",
      "2h 5m",
      "3d 4h",
    ]);
  });
});

describe("sizes", () => {
  it("are read by factors of 1024 with an i, of 1000 without", () => {
    expect([parseSizeBytes("1KiB"), parseSizeBytes("1KB"), parseSizeBytes("1.5GiB")]).toEqual([1_024, 1_000, 1_610_612_736]);
  });

  it.each(["", "5", "5 GiB", "-1B", "1gib", "GiB"])("refuse %j", (text) => {
    expect(() => parseSizeBytes(text)).toThrow(/cannot read .* as a size/);
    expect(new RegExp(SIZE_PATTERN).test(text)).toBe(false);
  });

  it("survive a round trip through the text for whole kibibytes below 1 MiB", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_023 }), (kib) => {
        expect(parseSizeBytes(formatBytes(kib * 1_024))).toBe(kib * 1_024);
      }),
    );
  });
});
