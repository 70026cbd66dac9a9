import { type HiveIdentity, parseHiveId } from "@queen-and-hive/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { nextHive } from "./hive-machine.ts";
import { type HiveEffect, type HiveMachine, type HiveMachineEvent, INITIAL_HIVE_MACHINE } from "./hive-states.ts";

const POLICY = { suspectGraceMs: 10_000, linkStandsMinMs: 3_000, breakerRestarts: 5, breakerWindowMs: 300_000, isFrozen: false };
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

const STOP = { type: "stop_requested", workers: "stop" } as const;
const KEEP = { type: "stop_requested", workers: "keep" } as const;
const RESTART = { type: "restart_requested", actor: "key:me" } as const;
const START = { type: "start_requested", actor: "key:me" } as const;
const PROVEN = { type: "stop_ended", left: [] } as const;
const UNPROVEN = { type: "stop_ended", left: ["a process"] } as const;

function after(...events: readonly HiveMachineEvent[]): { state: HiveMachine["state"]; did: readonly string[] } {
  let machine = RUNNING;
  const did: string[] = [];
  for (const event of events) {
    const next = nextHive(machine, event, POLICY);
    machine = next.machine;
    did.push(...next.effects.map(wordOf));
  }
  return { state: machine.state, did: did.filter((effect) => effect !== "disconnect" && effect !== "schedule") };
}

function wordOf(effect: HiveEffect): string {
  return effect.kind === "stop_hive" ? `stop_hive ${effect.workers}` : effect.kind;
}

describe("orders that meet while a hive is being stopped", () => {
  it.each([
    ["a restart starts it again", [RESTART, PROVEN], "starting", ["stop_hive keep", "call_start"]],
    ["a restart starts what runs also when no end was proven", [RESTART, UNPROVEN], "starting", ["stop_hive keep", "call_start"]],
    ["a stop takes a restart's start back", [RESTART, KEEP, PROVEN], "stopped", ["stop_hive keep"]],
    [
      "a stop with its workers follows a restart",
      [RESTART, STOP, PROVEN, PROVEN],
      "stopped",
      ["stop_hive keep", "stop_hive stop"],
    ],
    [
      "... also when no end of the daemon was proven",
      [KEEP, STOP, UNPROVEN, PROVEN],
      "stopped",
      ["stop_hive keep", "stop_hive stop"],
    ],
    ["... and is not weakened", [KEEP, STOP, KEEP, RESTART, PROVEN, PROVEN], "stopped", ["stop_hive keep", "stop_hive stop"]],
    ["a stop with its workers stays one", [STOP, KEEP, RESTART, PROVEN], "stopped", ["stop_hive stop"]],
    ["what may be left has failed", [KEEP, STOP, PROVEN, UNPROVEN], "failed", ["stop_hive keep", "stop_hive stop"]],
  ] as const)("%s", (_title, events, state, did) => {
    expect(after(...events)).toMatchObject({ state: { name: state }, did });
  });

  it("stops the workers after the last order to do so, whatever was ordered before and after, before it is said to be stopped", () => {
    const order = fc.constantFrom<HiveMachineEvent>(STOP, KEEP, RESTART, START, PROVEN, UNPROVEN);
    fc.assert(
      fc.property(fc.array(order, { maxLength: 30 }), (events) => {
        let machine = RUNNING;
        let owed = false;
        for (const event of events) {
          const isUnderWay = machine.state.name === "stopping" && machine.state.workers === "stop";
          const next = nextHive(machine, event, POLICY);
          machine = next.machine;
          if (event === STOP && !isUnderWay) owed = true;
          if (next.effects.some((effect) => wordOf(effect) === "stop_hive stop")) owed = false;
          if (machine.state.name !== "stopping") expect(owed).toBe(false);
        }
      }),
    );
  });
});
