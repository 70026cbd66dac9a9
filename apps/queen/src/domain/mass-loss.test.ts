import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type HiveLoss, isMassLoss } from "./mass-loss.ts";

const policy = { hivesMin: 3, windowMs: 10_000, holdMs: 900_000 };
const NOW_MS = 30_000;

describe("the mass-loss guard", () => {
  it.each([
    { lost: [0, 0], of: 2, frozen: false, because: "two hives say nothing about ourselves" },
    { lost: [0], of: 3, frozen: false, because: "one of three is that one's trouble" },
    { lost: [0, 9_000], of: 3, frozen: true, because: "two of three within the window are ours" },
    { lost: [0, 11_000], of: 3, frozen: false, because: "they fell one after the other" },
    { lost: [0, 1, 2], of: 6, frozen: false, because: "half is not more than half" },
    { lost: [0, 1, 2, 3], of: 6, frozen: true, because: "four of six are" },
    { lost: [0, 20_000, 25_000, 29_000, 30_000], of: 6, frozen: true, because: "an older loss does not hide the wave" },
  ])("$lost of $of: $frozen, $because", ({ lost, of, frozen }) => {
    expect(isMassLoss(hives(lost, of), policy, NOW_MS)).toBe(frozen);
  });

  it("ends as soon as half of the hives are back, and never begins with half or fewer lost", () => {
    fc.assert(
      fc.property(fc.array(fc.option(fc.nat(30_000)), { maxLength: 12 }), (times) => {
        const all = times.map((lostAtMs, index) => ({ hiveId: `h${index}`, lostAtMs }));
        const lost = all.filter(({ lostAtMs }) => lostAtMs !== null).length;
        if (lost * 2 <= all.length) expect(isMassLoss(all, policy, NOW_MS)).toBe(false);
        if (all.length >= 3 && lost * 2 > all.length && new Set(times.filter((time) => time !== null)).size === 1)
          expect(isMassLoss(all, policy, NOW_MS)).toBe(true);
      }),
    );
  });

  it("ends a while after the wave when the hosts stay off, and begins anew with the next wave", () => {
    const off = hives([0, 9_000], 3);
    expect(isMassLoss(off, policy, 9_000 + policy.holdMs - 1)).toBe(true);
    expect(isMassLoss(off, policy, 9_000 + policy.holdMs)).toBe(false);
    const atMs = 2 * policy.holdMs;
    expect(isMassLoss(hives([0, 9_000, atMs, atMs + 1, atMs + 2], 5), policy, atMs + 2)).toBe(true);
  });

  it("does not depend on the order of the hives", () => {
    fc.assert(
      fc.property(fc.array(fc.option(fc.nat(30_000)), { maxLength: 12 }), (times) => {
        const all = times.map((lostAtMs, index) => ({ hiveId: `h${index}`, lostAtMs }));
        expect(isMassLoss([...all].reverse(), policy, NOW_MS)).toBe(isMassLoss(all, policy, NOW_MS));
      }),
    );
  });
});

function hives(lost: readonly number[], of: number): readonly HiveLoss[] {
  return Array.from({ length: of }, (_, index) => ({ hiveId: `h${index}`, lostAtMs: lost[index] ?? null }));
}
