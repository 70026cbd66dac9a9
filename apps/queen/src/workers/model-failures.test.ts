import { systemClock } from "@queen-and-hive/daemon";
import { expect, it } from "vitest";
import { ModelFailures } from "./model-failures.ts";

it.each([
  ["illegal_instruction", /\(SIGILL\).*built for another processor/],
  ["segmentation_fault", /\(SIGSEGV\)/],
  ["bus_error", /\(SIGBUS\).*model file/],
  ["aborted", /\(SIGABRT\).*last lines/],
  ["killed", /: its worker was killed;/],
] as const)("clients are told what an end as %s mostly means", (cause, words) => {
  const breaker = { breakerRestarts: 5, breakerWindowMs: 300_000, unreadyInARow: 3, retryOpenEveryMs: 300_000 };
  const restart = { firstMs: 1_000, factor: 2, maxMs: 60_000, jitter: 0, ...breaker };
  const failures = new ModelFailures({ restart, clock: systemClock, random: () => 0.5 });
  failures.note("chat", cause);
  expect(failures.get("chat")).toMatchObject({ cause, message: expect.stringMatching(words) });
  expect(failures.get("other")).toBe(null);
});
