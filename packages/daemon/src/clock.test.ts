import { describe, expect, it } from "vitest";
import { systemClock, untilNextRound } from "./clock.ts";

const warnings = (): { readonly seen: Error[]; readonly stop: () => void } => {
  const seen: Error[] = [];
  const listener = (warning: Error): void => void seen.push(warning);
  process.on("warning", listener);
  return { seen, stop: () => process.off("warning", listener) };
};

describe("the system clock", () => {
  it("does not fire at once when a wait is longer than a Node timer can count", async () => {
    const { seen, stop } = warnings();
    let fired = false;
    using _timer = systemClock.after(2 ** 31 + 1_000, () => {
      fired = true;
    });
    await systemClock.sleep(20);
    stop();
    expect(fired).toBe(false);
    expect(seen).toEqual([]);
  });

  it("never fires after Infinity", async () => {
    let fired = false;
    using _timer = systemClock.after(Number.POSITIVE_INFINITY, () => {
      fired = true;
    });
    await systemClock.sleep(10);
    expect(fired).toBe(false);
  });

  it("has let at least the asked time pass when a wait is over", async () => {
    for (const ms of [1, 2, 3, 5, 7]) {
      const startedMs = systemClock.monotonicMs();
      await systemClock.sleep(ms);
      expect(systemClock.monotonicMs() - startedMs).toBeGreaterThanOrEqual(ms);
    }
  });

  it("lets looks that began at different moments wait for the same one", () => {
    const waits = [12_000, 12_345.5, 12_999.9].map((nowMs) => nowMs + untilNextRound(1_000, { monotonicMs: () => nowMs }));
    expect(waits.map(Math.floor)).toEqual([13_000, 13_000, 13_000]);
  });

  it("rejects a sleep with the signal's own reason, before and during it", async () => {
    const reason = new Error("enough");
    await expect(systemClock.sleep(60_000, AbortSignal.abort(reason))).rejects.toBe(reason);
    const controller = new AbortController();
    const sleeping = systemClock.sleep(Number.POSITIVE_INFINITY, controller.signal);
    controller.abort(reason);
    await expect(sleeping).rejects.toBe(reason);
  });

  it("forgets a wait that is disposed", async () => {
    let fired = false;
    systemClock
      .after(1, () => {
        fired = true;
      })
      [Symbol.dispose]();
    await systemClock.sleep(10);
    expect(fired).toBe(false);
  });
});
