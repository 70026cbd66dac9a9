import { EXIT_CAUSES, type RestartPolicySpec } from "@queen-and-hive/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decideRestart, NO_RESTARTS, type RestartHistory, type UnwantedEnd } from "./restart-policy.ts";

const policies: fc.Arbitrary<RestartPolicySpec> = fc.record({
  first_s: fc.integer({ min: 0, max: 10 }),
  factor: fc.integer({ min: 1, max: 4 }),
  max_s: fc.integer({ min: 10, max: 120 }),
  jitter: fc.constantFrom(0, 0.2, 1),
  breaker: fc.record({
    restarts: fc.integer({ min: 1, max: 6 }),
    window_s: fc.integer({ min: 10, max: 600 }),
    unready_in_a_row: fc.integer({ min: 1, max: 4 }),
  }),
  retry_open_every_s: fc.option(fc.integer({ min: 1, max: 600 })),
});

/** An end: how long after the one before, for how long it was ready (null: never), why. */
const ends = fc.array(
  fc.record({
    afterMs: fc.integer({ min: 0, max: 400_000 }),
    readyForMs: fc.option(fc.integer({ min: 0, max: 400_000 })),
    cause: fc.constantFrom(...EXIT_CAUSES),
    random: fc.double({ min: 0, max: 1, noNaN: true }),
  }),
  { maxLength: 40 },
);

describe("the restart policy, over any series of ends", () => {
  it("keeps its limits after each one", () => {
    fc.assert(
      fc.property(policies, ends, (policy, series) => {
        let history: RestartHistory = NO_RESTARTS;
        let atMs = 0;
        const restarted: number[] = [];
        for (const { afterMs, readyForMs, cause, random } of series) {
          atMs += afterMs;
          const end: UnwantedEnd = { cause, readyAtMs: readyForMs === null ? null : atMs - readyForMs, endedAtMs: atMs, random };
          const before = history;
          const decision = decideRestart(before, policy, end);
          history = decision.history;
          checkWait(policy, before, end, decision);
          const windowMs = policy.breaker.window_s * 1_000;
          if (cause === "host_rebooted" || (readyForMs !== null && readyForMs >= windowMs)) restarted.length = 0;
          if (decision.verdict !== "restart" || cause === "host_rebooted") continue;
          restarted.push(atMs);
          const inWindow = restarted.filter((moment) => atMs - moment < windowMs);
          expect(inWindow.length, "restarts in a window").toBeLessThanOrEqual(policy.breaker.restarts);
          expect(history.unreadyInARow, "starts in a row that never became ready").toBeLessThan(policy.breaker.unready_in_a_row);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it("never restarts quickly what cannot heal by itself", () => {
    const hopeless = fc.constantFrom(
      "model_missing",
      "model_invalid",
      "runtime_missing",
      "driver_not_up",
      "bad_flag",
      "illegal_instruction" as const,
    );
    fc.assert(
      fc.property(policies, hopeless, (policy, cause) => {
        const { verdict, waitMs } = decideRestart(NO_RESTARTS, policy, { cause, readyAtMs: 0, endedAtMs: 1, random: 0.5 });
        expect(verdict).toBe("open");
        expect(waitMs).toBe(policy.retry_open_every_s === null ? Number.POSITIVE_INFINITY : policy.retry_open_every_s * 1_000);
      }),
    );
  });
});

it("waits longer after each end, up to the limit, and forgets all that after a stable time", () => {
  const policy: RestartPolicySpec = {
    first_s: 1,
    factor: 2,
    max_s: 5,
    jitter: 0,
    breaker: { restarts: 100, window_s: 60, unready_in_a_row: 100 },
    retry_open_every_s: null,
  };
  let history = NO_RESTARTS;
  const waits = [0, 1, 2, 3].map((index) => {
    const decision = decideRestart(history, policy, { cause: "killed", readyAtMs: null, endedAtMs: index * 1_000, random: 0.5 });
    history = decision.history;
    return decision.waitMs;
  });
  expect(waits).toEqual([1_000, 2_000, 4_000, 5_000]);
  const stable = decideRestart(history, policy, { cause: "killed", readyAtMs: 10_000, endedAtMs: 70_000, random: 0.5 });
  expect(stable.waitMs).toBe(1_000);
});

function checkWait(
  policy: RestartPolicySpec,
  before: RestartHistory,
  end: UnwantedEnd,
  decision: ReturnType<typeof decideRestart>,
): void {
  const { verdict, waitMs } = decision;
  if (end.cause === "host_rebooted") {
    expect(decision).toEqual({ history: NO_RESTARTS, verdict: "restart", waitMs: 0 });
  } else if (verdict === "open") {
    expect(waitMs).toBe(policy.retry_open_every_s === null ? Number.POSITIVE_INFINITY : policy.retry_open_every_s * 1_000);
  } else {
    expect(waitMs).toBeGreaterThanOrEqual(0);
    expect(waitMs).toBeLessThanOrEqual(Math.round(policy.max_s * 1_000 * (1 + policy.jitter)));
    const { first_s, factor, max_s, jitter } = policy;
    const leastMs = Math.min(max_s, first_s * factor ** Math.min(before.attempt, 0)) * 1_000 * (1 - jitter);
    expect(waitMs).toBeGreaterThanOrEqual(Math.floor(leastMs));
  }
}
