import { type HiveIdentity, parseHiveId } from "@queen-and-hive/protocol";
import { describe, expect, it } from "vitest";
import { nextHive } from "./hive-machine.ts";
import { type HiveMachine, type HiveMachineEvent, type HivePolicy, INITIAL_HIVE_MACHINE } from "./hive-states.ts";

const POLICY: HivePolicy = {
  suspectGraceMs: 10_000,
  linkStandsMinMs: 3_000,
  breakerRestarts: 0,
  breakerWindowMs: 300_000,
  isFrozen: false,
};
const RUN: HiveIdentity = {
  hive_id: parseHiveId("gpu1") ?? expect.unreachable("it is an id"),
  hive_epoch: 1,
  pid: 1,
  start_time: 1,
  boot_id: "boot",
  url: "http://127.0.0.1:9200",
  version: "0",
  protocol: { min: 1, max: 1 },
};
const RUNNING: HiveMachine = { ...INITIAL_HIVE_MACHINE, state: { name: "running", run: RUN, sinceMs: 0 } };

const LOST = { type: "link_lost", epoch: 1, reason: "stream_closed", detail: "closed", atMs: 0 } as const;
const GONE = { type: "diagnosed", epoch: 1, finding: "gone", detail: "", atMs: 0 } as const;
const REOPEN = { type: "timer", timer: "reopen" } as const;
const REFUSED = { type: "start_refused", error: "refused", why: "final", atMs: 0 } as const;
const REPLACE = { type: "timer", timer: "replace" } as const;
const ANSWERED = { type: "start_answered", run: RUN } as const;
const CONNECTED = { type: "connected", run: RUN, atMs: 0 } as const;
const RESTART = { type: "restart_requested", actor: "key:me" } as const;
const ENDED = { type: "stop_ended", left: [] } as const;

function after(events: readonly HiveMachineEvent[], policy = POLICY): { machine: HiveMachine; timed: number } {
  let machine = RUNNING;
  let timed = 0;
  for (const event of events) {
    const next = nextHive(machine, event, policy);
    machine = next.machine;
    timed += next.effects.filter((effect) => effect.kind === "schedule" && effect.timer === "replace").length;
  }
  return { machine, timed };
}

describe("the workers of a hive that does not run", () => {
  it.each([
    ["it is out of reach", [LOST], "suspect"],
    ["it fails, is tried again and fails again", [LOST, GONE, REOPEN, REFUSED, REOPEN, REFUSED], "failed"],
    ["it is tried again just then", [LOST, GONE, REOPEN], "starting"],
    ["an operator restarts it in vain", [RESTART, ENDED, REFUSED], "failed"],
  ] as const)("are replaced after one time of absence, whatever comes in between: %s", (_title, events, state) => {
    expect(after(events)).toMatchObject({ machine: { state: { name: state }, isReplaced: false }, timed: 1 });
    expect(after([...events, REPLACE])).toMatchObject({ machine: { state: { name: state }, isReplaced: true }, timed: 1 });
  });

  it("stay replaced until it runs, also when it is found, restarted or started meanwhile", () => {
    const failed = [LOST, GONE, REPLACE] as const;
    for (const events of [[REOPEN], [REOPEN, ANSWERED], [RESTART, ENDED], [REOPEN, REFUSED]])
      expect(after([...failed, ...events]).machine.isReplaced).toBe(true);
    expect(after([...failed, REOPEN, ANSWERED, CONNECTED]).machine).toMatchObject({
      state: { name: "running" },
      isReplaced: false,
    });
  });

  it("are not replaced by a timer of an absence that is over, nor while we may be the one who is ill", () => {
    expect(after([LOST, GONE, REOPEN, ANSWERED, CONNECTED, REPLACE]).machine.isReplaced).toBe(false);
    expect(after([LOST, REPLACE], { ...POLICY, isFrozen: true })).toMatchObject({ machine: { isReplaced: false }, timed: 2 });
  });
});
