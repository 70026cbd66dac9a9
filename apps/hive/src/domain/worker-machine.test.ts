import type { ExitCause, RestartPolicySpec, WorkerExit } from "@queen-and-hive/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { newWorkerLife, nextWorker } from "./worker-machine.ts";
import { processOf, type WorkerEffect, type WorkerEvent, type WorkerLife, type WorkerProcess } from "./worker-states.ts";

const policy: RestartPolicySpec = {
  first_s: 1,
  factor: 2,
  max_s: 60,
  jitter: 0.2,
  breaker: { restarts: 3, window_s: 300, unready_in_a_row: 3 },
  retry_open_every_s: 300,
};
const facts = { url: "http://127.0.0.1:17900", model_ref: "tiny", backend: "test", device: "cpu" };

/** An event without its incarnation: whether it is of the present one or late is chosen at each step. */
const eventWithout: fc.Arbitrary<(incarnation: number) => WorkerEvent> = fc.oneof(
  fc.constant(
    (incarnation: number): WorkerEvent => ({ type: "launched", incarnation, process: processOfIncarnation(incarnation) }),
  ),
  endOf("launch_failed"),
  fc.constant((incarnation: number): WorkerEvent => ({ type: "ready", incarnation, facts, atMs: 1_000 })),
  fc.constantFrom("start_silent" as const, "start_too_long" as const).map(
    (cause) =>
      (incarnation: number): WorkerEvent => ({ type: "start_given_up", incarnation, cause }),
  ),
  endOf("process_ended"),
  fc.constantFrom("leftovers_cleared", "leftovers_found", "wait_over", "went_mute", "answered_again", "stayed_mute").map(
    (type) =>
      (incarnation: number): WorkerEvent => ({ type, incarnation }),
  ),
  fc.constant((incarnation: number): WorkerEvent => ({ type: "warmed_up", incarnation, atMs: 1_500 })),
  fc
    .constantFrom("stop_requested", "stop_failed", "stop_retry_due", "drain_requested")
    .map((type) => (): WorkerEvent => ({ type })),
  fc.tuple(fc.option(exit()), moment()).map(
    ([end, at]) =>
      (): WorkerEvent => ({ type: "stop_proven", exit: end, ...at }),
  ),
);
const steps = fc.array(fc.tuple(eventWithout, fc.boolean()), { maxLength: 60 });

describe("the worker's life, whatever happens in whatever order", () => {
  it("keeps its promises after each step", () => {
    fc.assert(
      fc.property(fc.boolean(), steps, (warmup, orders) => {
        const trace = begin(warmup);
        for (const [order, isLate] of orders)
          trace.step(order(isLate ? trace.life.incarnation - 1 : trace.life.incarnation), isLate);
      }),
      { numRuns: 2_000 },
    );
  });

  it("comes to an end from everywhere once an operator wants it and the processes are gone", () => {
    fc.assert(
      fc.property(fc.boolean(), steps, (warmup, orders) => {
        const trace = begin(warmup);
        for (const [order] of orders) trace.step(order(trace.life.incarnation), false);
        const { incarnation } = trace.life;
        trace.step({ type: "stop_requested" }, false);
        if (trace.life.phase.name === "stopping" && trace.life.phase.launching)
          trace.step({ type: "launched", incarnation, process: processOfIncarnation(incarnation) }, false);
        trace.step({ type: "stop_proven", exit: null, atMs: 0, random: 0 }, false);
        expect(trace.life.phase.name).toBe("stopped");
      }),
      { numRuns: 500 },
    );
  });
});

describe("a worker that hangs", () => {
  const ready = (): WorkerLife => {
    const trace = begin(false);
    trace.step({ type: "launched", incarnation: 1, process: processOfIncarnation(1) }, false);
    trace.step({ type: "ready", incarnation: 1, facts, atMs: 1_000 }, false);
    return trace.life;
  };

  it("is not ready, and ready again when it answers, saying so to the queen", () => {
    const hung = nextWorker(ready(), { type: "went_mute", incarnation: 1 });
    expect(hung.life.phase.name).toBe("hung");
    const again = nextWorker(hung.life, { type: "answered_again", incarnation: 1 });
    expect(again.life.phase).toMatchObject({ name: "ready", readyAtMs: 1_000 });
    expect(again.effects).toEqual([{ type: "say_ready", facts }]);
  });

  it("is ended and started again when it stays so", () => {
    const hung = nextWorker(ready(), { type: "went_mute", incarnation: 1 });
    const ending = nextWorker(hung.life, { type: "stayed_mute", incarnation: 1 });
    expect(ending.life.phase).toMatchObject({ name: "stopping", reason: "hung" });
    const gone = nextWorker(ending.life, { type: "stop_proven", exit: null, atMs: 2_000, random: 0.5 });
    expect(gone.life.phase).toMatchObject({ name: "backing_off", exit: { cause: "hung" } });
    expect(gone.life.history.unreadyInARow).toBe(0);
  });
});

describe("a worker whose end was given up", () => {
  const stuck = (): WorkerLife => {
    const trace = begin(false);
    trace.step({ type: "launched", incarnation: 1, process: processOfIncarnation(1) }, false);
    trace.step({ type: "start_given_up", incarnation: 1, cause: "start_silent" }, false);
    trace.step({ type: "stop_failed" }, false);
    return trace.life;
  };

  it("is ended again when that is due, and once at a time", () => {
    const again = nextWorker(stuck(), { type: "stop_retry_due" });
    expect(again.life.phase).toMatchObject({ name: "stopping", reason: "start_silent", stuck: false });
    expect(again.effects).toEqual([{ type: "end_process" }]);
    expect(nextWorker(again.life, { type: "stop_retry_due" })).toEqual({ life: again.life, effects: [] });
  });
});

interface Trace {
  readonly life: WorkerLife;
  step(event: WorkerEvent, isLate: boolean): void;
}

/** A life that is checked after each step. */
function begin(warmup: boolean): Trace {
  let life = newWorkerLife(policy, warmup).life;
  let stopWanted = false;
  const saidExited = new Set<number>();
  return {
    get life() {
      return life;
    },
    step: (event, isLate) => {
      const before = life;
      const { life: after, effects } = nextWorker(before, event);
      life = after;
      if (isLate && "incarnation" in event) expect(after, "a late event changes nothing").toBe(before);
      if (after === before) expect(effects, "no change, no effect").toEqual([]);
      stopWanted ||= event.type === "stop_requested";
      checkLaunch(before, after, effects, stopWanted);
      checkWords(before, after, effects, saidExited);
      if (after.phase.name === "stopped" && before.phase.name !== "stopped") expect(event.type).toBe("stop_proven");
      if (before.phase.name === "stopped") expect(after).toBe(before);
      if (stopWanted) expect(["stopping", "stopped"]).toContain(after.phase.name);
      // A process is never lost from sight but by its proven end.
      const gone = processOf(before.phase) !== null && processOf(after.phase) === null;
      if (gone) expect(["process_ended", "stop_proven"]).toContain(event.type);
    },
  };
}

function checkLaunch(before: WorkerLife, after: WorkerLife, effects: readonly WorkerEffect[], stopWanted: boolean): void {
  const launches = effects.filter(({ type }) => type === "launch");
  expect(after.incarnation - before.incarnation).toBe(launches.length);
  if (launches.length === 0) return;
  expect(launches).toEqual([{ type: "launch", incarnation: after.incarnation }]);
  expect(["backing_off", "failed"], "what was there before is gone and cleared").toContain(before.phase.name);
  expect(stopWanted, "what was stopped stays so").toBe(false);
}

function checkWords(before: WorkerLife, after: WorkerLife, effects: readonly WorkerEffect[], saidExited: Set<number>): void {
  const types = effects.map(({ type }) => type);
  const becameReady = after.phase.name === "ready" && before.phase.name !== "ready";
  expect(types.includes("say_ready"), "ready is said when it becomes so").toBe(becameReady);
  if (types.includes("say_exited")) {
    expect(saidExited.has(before.incarnation), "an end is said once").toBe(false);
    saidExited.add(before.incarnation);
  }
  if (before.phase.name === "hung" && after.phase.name === "stopping") expect(types).toContain("end_process");
  if (after.phase.name === "crashed" && before.phase.name !== "crashed") expect(types).toContain("clear_leftovers");
}

function processOfIncarnation(incarnation: number): WorkerProcess {
  const identity = (pid: number) => ({ pid, start_time: incarnation, boot_id: "boot" });
  return { engine: identity(1_000 + incarnation), shim: identity(2_000 + incarnation) };
}

function endOf(type: "launch_failed" | "process_ended") {
  return fc.tuple(exit(), moment()).map(
    ([end, at]) =>
      (incarnation: number): WorkerEvent => ({ type, incarnation, exit: end, ...at }),
  );
}

function exit(): fc.Arbitrary<WorkerExit> {
  const causes: readonly ExitCause[] = ["killed", "unknown", "cuda_oom", "model_missing", "bad_flag", "host_rebooted"];
  return fc.constantFrom(...causes).map((cause) => ({ exit_code: null, signal: null, cause, log_tail: [] }));
}

function moment() {
  return fc.record({ atMs: fc.integer({ min: 0, max: 10_000_000 }), random: fc.double({ min: 0, max: 1, noNaN: true }) });
}
