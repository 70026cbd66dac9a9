import { expect, it } from "vitest";
import { beginVigil, judgeLook, type StartLook } from "./signs-of-life.ts";

const MIB = 1024 * 1024;
const limits = { silenceMs: 10_000, totalMs: 60_000 };
const first: StartLook = {
  atMs: 0,
  logBytes: 0,
  cpuMs: 0,
  residentBytes: 0,
  deviceBytes: 0,
  deviceIsBusy: false,
  saidLoading: false,
};

it.each<[string, Partial<StartLook>]>([
  ["output", { logBytes: 1 }],
  ["CPU time", { cpuMs: 300 }],
  ["memory", { residentBytes: MIB }],
  ["the word that it loads", { saidLoading: true }],
  ["memory of its device", { deviceBytes: MIB }],
  ["a device that computes", { deviceIsBusy: true }],
])("takes %s for a sign of life", (_sign, seen) => {
  const alive = judgeLook(beginVigil(first, 0), { ...first, atMs: 9_999, ...seen }, limits);
  expect(
    judgeLook(alive.vigil, { ...first, ...seen, deviceIsBusy: false, saidLoading: false, atMs: 15_000 }, limits).giveUp,
  ).toBeNull();
});

it("gives a start up without one, and at its total limit however lively it is", () => {
  const vigil = beginVigil(first, 0);
  const idleTicks = { cpuMs: 200, residentBytes: MIB - 1, deviceBytes: MIB - 1 };
  expect(judgeLook(vigil, { ...first, ...idleTicks, atMs: 9_999 }, limits).giveUp).toBeNull();
  expect(judgeLook(vigil, { ...first, ...idleTicks, atMs: 10_000 }, limits).giveUp).toBe("start_silent");
  expect(judgeLook(vigil, { ...first, saidLoading: true, atMs: 60_000 }, limits).giveUp).toBe("start_too_long");
  expect(judgeLook(beginVigil(first, 55_000), { ...first, saidLoading: true, atMs: 5_000 }, limits).giveUp).toBe(
    "start_too_long",
  );
});

it("goes on when a long child has ended, whose CPU time and memory are gone from the sums", () => {
  const grown = { ...first, atMs: 1_000, cpuMs: 500_000, residentBytes: 2_000 * MIB };
  const { vigil: busy } = judgeLook(beginVigil(first, 0), grown, limits);
  const fallen = { ...grown, atMs: 5_000, cpuMs: 1_000, residentBytes: 100 * MIB };
  const { vigil: after } = judgeLook(busy, fallen, limits);
  expect(after.lastSign.atMs).toBe(1_000);
  const idle = { ...fallen, atMs: 11_000 };
  expect(judgeLook(after, idle, limits).giveUp).toBe("start_silent");
  for (const sign of [{ cpuMs: 1_180 }, { residentBytes: 101 * MIB }]) {
    expect(judgeLook(after, { ...idle, ...sign }, limits)).toMatchObject({ giveUp: null, vigil: { lastSign: { atMs: 11_000 } } });
  }
});
