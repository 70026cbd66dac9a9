import { describe, expect, it } from "vitest";
import { backoffMs } from "./backoff.ts";

const policy = { firstMs: 1_000, factor: 2, maxMs: 60_000, jitter: 0.2 };

describe("back-off", () => {
  it("doubles from the first wait to the longest", () => {
    const waits = [0, 1, 2, 5, 6, 1_000].map((attempt) => backoffMs(attempt, policy, () => 0.5));
    expect(waits).toEqual([1_000, 2_000, 4_000, 32_000, 60_000, 60_000]);
  });

  it("varies by the jitter in both directions, and never beyond the longest", () => {
    expect([backoffMs(0, policy, () => 0), backoffMs(0, policy, () => 1)]).toEqual([800, 1_200]);
    expect([backoffMs(9, policy, () => 0), backoffMs(9, policy, () => 1)]).toEqual([48_000, 60_000]);
  });
});
