import { type HiveIdentity, parseHiveId } from "@queen-and-hive/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { nextHive } from "./hive-machine.ts";
import {
  type Finding,
  type HiveEffect,
  type HiveMachine,
  type HiveMachineEvent,
  type HivePolicy,
  INITIAL_HIVE_MACHINE,
  runOf,
  stateNameOf,
} from "./hive-states.ts";

const policy: HivePolicy = {
  suspectGraceMs: 10_000,
  linkStandsMinMs: 3_000,
  breakerRestarts: 5,
  breakerWindowMs: 300_000,
  isFrozen: false,
};

const HIVE_ID = hiveId("gpu1");

function runOfEpoch(epoch: number): HiveIdentity {
  return {
    hive_id: HIVE_ID,
    hive_epoch: epoch,
    pid: 100 + epoch,
    start_time: epoch,
    boot_id: "boot",
    url: "http://127.0.0.1:9200",
    version: "0.1.0",
    protocol: { min: 1, max: 1 },
  };
}

function hiveId(text: string): HiveIdentity["hive_id"] {
  const id = parseHiveId(text);
  if (id === null) throw new Error(`cannot use ${text} as the id of a hive`);
  return id;
}

/** What is under way in the world: every one of these will come back as an event. */
type Pending = Exclude<HiveEffect["kind"], "schedule" | "disconnect" | "abandon_workers"> | `timer:${string}`;

/** A world around the machine that remembers what was asked of it and answers in any order. */
class World {
  machine: HiveMachine = INITIAL_HIVE_MACHINE;
  readonly pending = new Set<Pending>();
  nowMs = 0;
  epoch = 1;
  /** An operator's stop that nobody has taken back. */
  isStopped = false;

  tell(event: HiveMachineEvent, isFrozen = false): readonly HiveEffect[] {
    const before = this.machine;
    const { machine, effects } = nextHive(before, event, { ...policy, isFrozen });
    this.machine = machine;
    if (machine.state.name !== before.state.name)
      for (const entry of [...this.pending])
        if (entry.startsWith("timer:") && entry !== "timer:replace") this.pending.delete(entry);
    for (const effect of effects) {
      if (effect.kind === "schedule") this.pending.add(`timer:${effect.timer}`);
      else if (effect.kind === "disconnect") this.pending.delete("connect");
      else if (effect.kind !== "abandon_workers") this.pending.add(effect.kind);
    }
    return effects;
  }

  /** Something that is under way comes to its end, `choice` says how. */
  settle(entry: Pending, choice: number): HiveMachineEvent {
    this.pending.delete(entry);
    const atMs = this.nowMs;
    const epoch = runOf(this.machine.state)?.hive_epoch ?? this.epoch;
    switch (entry) {
      case "look":
        if (choice % 3 === 0) return { type: "look_answered", run: runOfEpoch(1) };
        return { type: "look_failed", error: "not there", why: choice % 3 === 1 ? "other" : "no_host", atMs };
      case "call_start":
        if (choice % 4 !== 0)
          return {
            type: "start_refused",
            error: "no",
            why: (["final", "failed", "no_host"] as const)[choice % 3] ?? "failed",
            atMs,
          };
        this.epoch += 1;
        return { type: "start_answered", run: runOfEpoch(this.epoch) };
      case "connect":
        // The link stays pending: it can be lost later.
        this.pending.add("connect");
        return choice % 3 === 0
          ? { type: "link_lost", epoch, reason: "stream_closed", detail: "closed", atMs }
          : { type: "connected", run: runOfEpoch(epoch), atMs };
      case "diagnose":
        return { type: "diagnosed", epoch, finding: FINDINGS[choice % FINDINGS.length] ?? "gone", detail: "looked", atMs };
      case "end_daemon":
        return choice % 2 === 0 ? { type: "daemon_ended", epoch, atMs } : { type: "daemon_left", epoch, error: "D", atMs };
      case "stop_hive":
        return { type: "stop_ended", left: choice % 3 === 0 ? ["a process"] : [] };
      default:
        return { type: "timer", timer: entry.slice("timer:".length) as "restart" };
    }
  }
}

const AWAITED = { looking: "look", calling: "call_start", connecting: "connect" } as const;
const FINDINGS: readonly Finding[] = ["answers", "gone", "mute", "unclear", "no_host"];

const steps = fc.array(
  fc.record({
    kind: fc.constantFrom("settle", "settle", "settle", "settle", "late", "operator", "announce"),
    choice: fc.nat(10_000),
    passMs: fc.constantFrom(0, 100, 5_000, 20_000, 400_000),
    isFrozen: fc.boolean(),
  }),
  { maxLength: 60 },
);

/** Plays a random history and looks after each step. */
function play(look: (world: World, event: HiveMachineEvent, effects: readonly HiveEffect[], before: HiveMachine) => void): void {
  fc.assert(
    fc.property(steps, fc.boolean(), (history, isRecorded) => {
      const world = new World();
      world.tell({ type: "start_requested", recorded: isRecorded ? runOfEpoch(1) : null });
      for (const { kind, choice, passMs, isFrozen } of history) {
        world.nowMs += passMs;
        const event = eventOf(world, kind, choice);
        if (event === null) continue;
        const before = world.machine;
        look(world, event, world.tell(event, isFrozen), before);
      }
    }),
    { numRuns: 500 },
  );
}

function eventOf(world: World, kind: string, choice: number): HiveMachineEvent | null {
  const pending = [...world.pending];
  if (kind === "settle") {
    const entry = pending[choice % Math.max(1, pending.length)];
    return entry === undefined ? null : world.settle(entry, choice);
  }
  if (kind === "operator") {
    const orders: readonly HiveMachineEvent[] = [
      { type: "start_requested", actor: "key:me" },
      { type: "stop_requested", workers: choice % 2 === 0 ? "stop" : "keep" },
      { type: "restart_requested", actor: "key:me" },
      { type: "drain_requested", actor: "key:me" },
      { type: "resume_requested", actor: "key:me" },
    ];
    return orders[choice % orders.length] ?? null;
  }
  if (kind === "announce") {
    world.epoch += choice % 2;
    return { type: "announced", run: runOfEpoch(world.epoch) };
  }
  // The word of a run that is over, or of something that nobody waits for any more.
  const atMs = world.nowMs;
  const epoch = (runOf(world.machine.state)?.hive_epoch ?? world.epoch + 1) - 1 - (choice % 2);
  const late: readonly HiveMachineEvent[] = [
    { type: "diagnosed", epoch, finding: FINDINGS[choice % FINDINGS.length] ?? "gone", detail: "late", atMs },
    { type: "link_lost", epoch, reason: "beats_missed", detail: "late", atMs },
    { type: "daemon_ended", epoch, atMs },
    { type: "daemon_left", epoch, error: "late", atMs },
    { type: "connected", run: runOfEpoch(epoch), atMs },
    { type: "refused", epoch, error: "late" },
    ...(world.pending.has("look") ? [] : LATE_LOOKS.map((look) => ({ ...look, atMs }))),
  ];
  return late[choice % late.length] ?? null;
}

const LATE_LOOKS: readonly HiveMachineEvent[] = [
  { type: "look_answered", run: runOfEpoch(0) },
  { type: "look_failed", error: "late", why: "other", atMs: 0 },
  { type: "look_failed", error: "late", why: "no_host", atMs: 0 },
];

describe("the life of a hive", () => {
  it("never waits for something that is not under way", () => {
    play((world) => {
      const { state } = world.machine;
      const has = (...any: Pending[]): boolean => any.some((entry) => world.pending.has(entry));
      if (state.name === "starting") expect(has(AWAITED[state.step])).toBe(true);
      if (state.name === "running") expect(has("connect")).toBe(true);
      if (state.name === "suspect") expect(has("diagnose", "connect", "timer:retry")).toBe(true);
      if (state.name === "crashed") expect(has("timer:restart")).toBe(true);
      if (state.name === "hung") expect(has("end_daemon")).toBe(true);
      if (state.name === "unreachable") expect(has("timer:retry", "diagnose", "call_start")).toBe(true);
      if (state.name === "stopping") expect(has("stop_hive")).toBe(true);
      if (state.name === "failed" && !state.hasBeenStopped) expect(has("timer:reopen")).toBe(true);
      const isLeft = state.name === "stopping" ? state.next !== "start" : state.name === "failed" && state.hasBeenStopped;
      if (state.name === "running" || state.name === "stopped" || isLeft) return;
      expect(world.machine.isReplaced || has("timer:replace")).toBe(true);
    });
  });

  it("runs no start for a recorded hive that is found, and one as soon as anything else is found", () => {
    play((_world, event, effects, before) => {
      if (before.state.name !== "starting" || before.state.step !== "looking") return;
      const kinds = effects.map(({ kind }) => kind);
      if (event.type === "look_answered") expect(kinds).toEqual(["connect"]);
      else if (event.type === "look_failed" && event.why === "other") expect(kinds).toEqual(["call_start"]);
      else expect(kinds).not.toContain("call_start");
    });
  });

  it("takes the word of a look only while it looks, and looks only where a run is recorded", () => {
    play((world, event, effects, before) => {
      const looking = before.state.name === "starting" && before.state.step === "looking";
      if ((event.type === "look_answered" || event.type === "look_failed") && !looking) {
        expect(effects).toEqual([]);
        expect(world.machine).toBe(before);
      }
      expect(effects.map(({ kind }) => kind)).not.toContain("look");
    });
    const recorded = runOfEpoch(1);
    const start = (event: HiveMachineEvent) => nextHive(INITIAL_HIVE_MACHINE, event, policy).effects;
    expect(start({ type: "start_requested", recorded })).toMatchObject([{ kind: "look", recorded }, { timer: "replace" }]);
    expect(start({ type: "start_requested", recorded: null })).toMatchObject([{ kind: "call_start" }, { timer: "replace" }]);
  });

  it("leaves an announcement to the look: a newer run still gets what a start hands over", () => {
    const world = new World();
    world.tell({ type: "start_requested", recorded: runOfEpoch(1) });
    expect(world.tell({ type: "announced", run: runOfEpoch(2) })).toEqual([]);
    expect(world.tell({ type: "look_failed", error: "gone", why: "other", atMs: 0 })).toEqual([{ kind: "call_start" }]);
  });

  it("starts and connects nothing that was stopped until somebody asks for it", () => {
    play((world, event, effects, before) => {
      // An order to start that comes while it stops is not carried out.
      const isStart = event.type === "start_requested" || event.type === "restart_requested";
      if (isStart && before.state.name !== "stopping") world.isStopped = false;
      if (event.type === "stop_requested") world.isStopped = true;
      if (world.isStopped) expect(effects.filter(({ kind }) => kind === "call_start" || kind === "connect")).toEqual([]);
    });
  });

  it("takes no new work while it is drained, whatever happens to it, and is resumed by an operator alone", () => {
    play((world, event, _effects, before) => {
      if (before.isDrained && event.type !== "resume_requested") expect(world.machine.isDrained).toBe(true);
      if (world.machine.isDrained) expect(stateNameOf(world.machine)).not.toBe("running");
    });
  });

  it("ends a daemon only after it was found mute for its grace and not for the first time in a row, and never while frozen", () => {
    fc.assert(
      fc.property(steps, (history) => {
        const world = new World();
        world.tell({ type: "start_requested" });
        let found: Finding | null = null;
        for (const { kind, choice, passMs, isFrozen } of history) {
          world.nowMs += passMs;
          const event = eventOf(world, kind, choice);
          if (event === null) continue;
          const { state, lostAtMs } = world.machine;
          const effects = world.tell(event, isFrozen);
          const before = found;
          if (kind !== "late" && event.type === "diagnosed") found = event.finding;
          if (!effects.some((effect) => effect.kind === "end_daemon")) continue;
          expect(isFrozen).toBe(false);
          expect(lostAtMs).not.toBeNull();
          expect(before).toBe("mute");
          expect(event).toMatchObject({ type: "diagnosed", finding: "mute" });
          expect(state.name === "suspect" && world.nowMs - state.sinceMs >= policy.suspectGraceMs).toBe(true);
        }
      }),
      { numRuns: 500 },
    );
  });

  it.each(["unclear", "answers"] as const)(
    "ends no daemon that was found mute once before and once after it was found: %s",
    (between) => {
      const world = new World();
      const run = runOfEpoch(2);
      const ends = (finding: Finding): boolean => {
        world.nowMs += policy.suspectGraceMs - 1;
        const effects = world.tell({ type: "diagnosed", epoch: 2, finding, detail: "", atMs: world.nowMs });
        return effects.some(({ kind }) => kind === "end_daemon");
      };
      world.tell({ type: "start_requested" });
      world.tell({ type: "start_answered", run });
      world.tell({ type: "connected", run, atMs: 0 });
      world.tell({ type: "link_lost", epoch: 2, reason: "beats_missed", detail: "no beat", atMs: policy.suspectGraceMs - 1 });
      world.nowMs = 0;
      for (const finding of ["mute", between, "mute"] as const) expect(ends(finding)).toBe(false);
      expect(world.machine.state.name).toBe("suspect");
      expect(ends("mute")).toBe(true);
    },
  );

  it("hears nothing of what is said of a run that another one has followed", () => {
    fc.assert(
      fc.property(steps, (history) => {
        const world = new World();
        world.tell({ type: "start_requested" });
        for (const { kind, choice, passMs } of history) {
          world.nowMs += passMs;
          const event = eventOf(world, kind, choice);
          if (event === null) continue;
          const before = world.machine;
          const effects = world.tell(event);
          if (kind === "late") expect([world.machine, effects]).toEqual([before, []]);
        }
      }),
      { numRuns: 500 },
    );
  });

  it("waits for a pause before it is connected again when its link was lost as soon as it stood", () => {
    const run = runOfEpoch(2);
    const effectsAfter = (stoodMs: number): readonly HiveEffect[] => {
      const world = new World();
      world.tell({ type: "start_requested" });
      world.tell({ type: "start_answered", run });
      world.tell({ type: "connected", run, atMs: 0 });
      world.tell({ type: "link_lost", epoch: 2, reason: "stream_closed", detail: "nonsense", atMs: stoodMs });
      const found = { type: "diagnosed", epoch: 2, finding: "answers", detail: "", atMs: stoodMs } as const;
      const effects = world.tell(found);
      if (effects.some(({ kind }) => kind === "connect")) return effects;
      return [...effects, ...world.tell({ type: "timer", timer: "retry" }), ...world.tell(found)];
    };
    const connect: HiveEffect = { kind: "connect", run };
    expect(effectsAfter(policy.linkStandsMinMs)).toEqual([connect]);
    expect(effectsAfter(policy.linkStandsMinMs - 1)).toEqual([
      { kind: "schedule", timer: "retry", attempt: 0 },
      { kind: "diagnose", run },
      connect,
    ]);
  });

  it("is out of reach, and never ended, while its host does not say that it is gone or mute", () => {
    const world = new World();
    const run = runOfEpoch(2);
    const unclear = (): readonly HiveEffect[] => {
      world.nowMs += policy.suspectGraceMs;
      return world.tell({ type: "diagnosed", epoch: 2, finding: "unclear", detail: "a firewall", atMs: world.nowMs });
    };
    world.tell({ type: "start_requested" });
    world.tell({ type: "start_answered", run });
    world.tell({ type: "connected", run, atMs: 0 });
    world.tell({ type: "link_lost", epoch: 2, reason: "beats_missed", detail: "no beat", atMs: policy.suspectGraceMs - 1 });
    expect(world.machine.state.name).toBe("suspect");
    world.nowMs = 0;
    const retry: HiveEffect = { kind: "schedule", timer: "retry", attempt: 0 };
    expect(unclear()).toEqual([retry]);
    expect(world.machine).toMatchObject({ state: { name: "suspect" }, lastError: "a firewall" });
    expect(unclear()).toMatchObject([{ kind: "disconnect" }, retry, { kind: "schedule", timer: "grace" }]);
    for (let again = 0; again < 3; again += 1) expect(unclear()).toEqual([retry]);
    expect(world.machine).toMatchObject({ state: { name: "unreachable", run }, lastError: "a firewall" });
    world.tell({ type: "diagnosed", epoch: 2, finding: "answers", detail: "", atMs: world.nowMs });
    expect(world.machine.state).toMatchObject({ name: "starting", step: "connecting", run });
  });

  it("is not started blindly while its host is out of reach", () => {
    play((_world, event, effects, before) => {
      if (before.state.name !== "unreachable" || before.state.run === null) return;
      if (event.type === "start_requested" || event.type === "restart_requested") return;
      expect(effects.filter(({ kind }) => kind === "call_start")).toEqual([]);
    });
  });

  it("opens the breaker: no more than its limit of restarts within a window", () => {
    const world = new World();
    world.tell({ type: "start_requested" });
    let restarts = 0;
    for (let round = 0; round < 20 && world.machine.state.name !== "failed"; round += 1) {
      world.nowMs += 1_000;
      world.pending.delete("call_start");
      world.tell({ type: "start_refused", error: "no", why: "failed", atMs: world.nowMs });
      if (world.machine.state.name === "crashed") {
        restarts += 1;
        world.tell({ type: "timer", timer: "restart" });
      }
    }
    expect(restarts).toBe(policy.breakerRestarts);
    expect(world.machine.state.name).toBe("failed");
  });

  it("forgives what was long ago: a run as long as the breaker's window begins the back-off anew, a shorter one does not", () => {
    const attemptAfter = (ranMs: number): number | undefined => {
      const world = new World();
      const refused = (): readonly HiveEffect[] =>
        world.tell({ type: "start_refused", error: "no", why: "failed", atMs: world.nowMs });
      world.tell({ type: "start_requested" });
      for (let failure = 0; failure < 3; failure += 1) {
        refused();
        world.tell({ type: "timer", timer: "restart" });
      }
      world.tell({ type: "start_answered", run: runOfEpoch(2) });
      world.tell({ type: "connected", run: runOfEpoch(2), atMs: world.nowMs });
      world.nowMs += ranMs;
      const lost = { epoch: 2, detail: "gone", atMs: world.nowMs };
      world.tell({ type: "link_lost", reason: "stream_closed", ...lost });
      const effects = world.tell({ type: "diagnosed", finding: "gone", ...lost });
      return effects.flatMap((effect) => (effect.kind === "schedule" && effect.timer === "restart" ? effect.attempt : []))[0];
    };
    expect([attemptAfter(policy.breakerWindowMs - 1), attemptAfter(policy.breakerWindowMs)]).toEqual([3, 0]);
  });

  it("is tried again when the breaker has been open for its time, and by an operator at any time", () => {
    for (const [event, restarts] of [
      [{ type: "timer", timer: "reopen" }, 1],
      [{ type: "start_requested", actor: "key:me" }, 0],
    ] as const) {
      const world = new World();
      world.tell({ type: "start_requested" });
      const effects = world.tell({ type: "start_refused", error: "no", why: "final", atMs: 0 });
      expect([world.machine.state.name, effects]).toEqual([
        "failed",
        [{ kind: "disconnect" }, { kind: "schedule", timer: "reopen", attempt: 0 }],
      ]);
      expect(world.tell(event)).toEqual([{ kind: "call_start" }]);
      expect(world.machine).toMatchObject({ state: { name: "starting", step: "calling" }, restarts });
    }
  });

  it("forgets a loss when it is found again", () => {
    play((world) => {
      if (world.machine.state.name === "running") expect(world.machine).toMatchObject({ lostAtMs: null, isReplaced: false });
    });
  });
});
