import { ManualClock } from "@queen-and-hive/dev-env";
import fc from "fast-check";
import { expect, it } from "vitest";
import { Silence } from "./silence.ts";
import { TimeLimit } from "./time-limit.ts";

const LIMIT_MS = 100;

interface Begun {
  readonly dueMs: number;
  readonly wait: Disposable;
  firedAtMs: number | null;
  endedAtMs: number | null;
}

it("ends each wait after the limit and no other, however waits begin and end", async () => {
  const step = fc.record({ afterMs: fc.nat(40), end: fc.nat(20) });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const clock = new ManualClock();
      using limit = new TimeLimit(clock, LIMIT_MS);
      const waits: Begun[] = [];
      for (const { afterMs, end } of steps) {
        await clock.advance(afterMs);
        const dueMs = clock.monotonicMs() + LIMIT_MS;
        const onEnd = (): void => {
          begun.firedAtMs = clock.monotonicMs();
        };
        const begun: Begun = { dueMs, wait: limit.start(onEnd), firedAtMs: null, endedAtMs: null };
        waits.push(begun);
        const ended = waits[end];
        ended?.wait[Symbol.dispose]();
        if (ended !== undefined) ended.endedAtMs ??= clock.monotonicMs();
      }
      await clock.advance(2 * LIMIT_MS);
      for (const { dueMs, firedAtMs, endedAtMs } of waits) {
        expect(firedAtMs).toBe(endedAtMs !== null && endedAtMs < dueMs ? null : dueMs);
      }
    }),
  );
});

it("lets what runs begin another wait", async () => {
  const clock = new ManualClock();
  using limit = new TimeLimit(clock, LIMIT_MS);
  const fired: string[] = [];
  limit.start(() => void limit.start(() => fired.push("second")));
  await clock.advance(LIMIT_MS / 2);
  limit.start(() => fired.push("other"));
  await clock.advance(LIMIT_MS);
  expect(fired).toEqual(["other"]);
  await clock.advance(LIMIT_MS / 2);
  expect(fired).toEqual(["other", "second"]);
});

it("never ends a wait without a limit", async () => {
  const clock = new ManualClock();
  using limit = new TimeLimit(clock, Number.POSITIVE_INFINITY);
  let fired = false;
  using _wait = limit.start(() => {
    fired = true;
  });
  await clock.advance(1_000_000);
  expect(fired).toBe(false);
});

it("notices silence each time, counted from the last touch", async () => {
  const clock = new ManualClock();
  using limit = new TimeLimit(clock, LIMIT_MS);
  const heardMs: number[] = [];
  using silence = new Silence(clock, limit, () => heardMs.push(clock.monotonicMs()));
  const startedMs = clock.monotonicMs();
  await clock.advance(70);
  silence.touch();
  await clock.advance(70);
  expect(heardMs).toEqual([]);
  await clock.advance(230);
  expect(heardMs.map((ms) => ms - startedMs)).toEqual([170, 270, 370]);
  silence[Symbol.dispose]();
  await clock.advance(1_000);
  expect(heardMs).toHaveLength(3);
});
