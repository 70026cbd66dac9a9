import { type CommandResult, describeProcesses, until } from "@queen-and-hive/dev-env";
import { type HiveFate, type HiveRecord, QUEEN_ENDPOINTS } from "@queen-and-hive/protocol";
import { expect } from "vitest";
import type { FaultGround } from "./fault-ground.ts";
import type { ActiveFault, Fault, SeededRandom } from "./nemesis.ts";
import { enginesOf, leftOf, workerIdOf } from "./processes.ts";

const UNDONE_WITHIN_MS = 60_000;

/**
 * What an operator orders of a hive in the midst of it all, as the commands that a person types. Each is judged: what was said
 * must be true at that moment, must still be so after everything else that struck, and nothing but a fault excuses a refusal.
 */
export const OPERATOR_ORDERS: readonly Fault[] = [
  async (ground, random, active) => {
    const id = anyUnordered(ground, random, active);
    if (id === null) return null;
    const before = workersOn(ground, id);
    const order = ground.queen.command(["hive", "restart", id, "--json"]);
    return {
      what: `an operator restarts the hive ${id}`,
      delaysCallbacks: true,
      mayEnd: [id],
      ordered: id,
      heal: async (others) => {
        const result = await order;
        if (!isUndisturbed(result, others)) return;
        expect(workersOn(ground, id), "a restart of a hive keeps its workers").toEqual(before);
      },
    };
  },
  async (ground, random, active) => {
    const id = anyUnordered(ground, random, active);
    if (id === null) return null;
    const order = ground.queen.command(["hive", "drain", id, "--json"]);
    return {
      what: `an operator drains the hive ${id}`,
      ordered: id,
      takesOut: true,
      heal: async (others) => {
        const result = await order;
        const isDone = isUndisturbed(result, others) || result.exitCode === 0;
        if (isDone && !others.some(isForgetful)) {
          const isDrained = async (): Promise<boolean> => (await hiveOf(ground, id)).state === "draining";
          await until(isDrained, UNDONE_WITHIN_MS, `the hive ${id}, which an operator drained, to be so still`);
        }
        await accepted(() => ground.queen.peer.call(QUEEN_ENDPOINTS.postHiveResume, { params: { hive_id: id } }));
      },
    };
  },
  async (ground, random, active) => {
    const id = anyUnordered(ground, random, active);
    if (id === null) return null;
    const order = ground.queen.command(["hive", "stop", id, "--json"]).then((result) => {
      // At the moment in which it is said.
      if (saysStopped(result, id)) expectNothingOf(ground, id, "was said to be stopped");
      return result;
    });
    // It is heard when the order is ended.
    order.catch(() => undefined);
    return {
      what: `an operator stops the hive ${id}`,
      mayEnd: [id],
      ordered: id,
      takesOut: true,
      heal: async (others) => {
        const result = await order;
        const isDone = isUndisturbed(result, others) || saysStopped(result, id);
        if (isDone && !others.some(isForgetful)) {
          expect(await hiveOf(ground, id)).toMatchObject({ state: "stopped", stopped_by: "operator", pid: null });
          expectNothingOf(ground, id, "was stopped by an operator");
        }
        await accepted(() => ground.queen.peer.call(QUEEN_ENDPOINTS.postHiveStart, { params: { hive_id: id } }));
      },
    };
  },
];

/** Only what the queen could not write down may be forgotten. */
function isForgetful({ what }: ActiveFault): boolean {
  return what === "a full disk under queen";
}

/** Whether nothing else struck; then the order must have been carried out. */
function isUndisturbed(result: CommandResult, others: readonly ActiveFault[]): boolean {
  if (others.length > 0) return false;
  expect([result.exitCode, result.stdout, result.stderr], "an order that nothing disturbs is carried out").toEqual([
    0,
    expect.any(String),
    expect.any(String),
  ]);
  return true;
}

function saysStopped(result: CommandResult, id: string): boolean {
  const { hives } = (result.json ?? {}) as { readonly hives?: readonly HiveFate[] };
  const fate = hives?.find(({ hive_id }) => hive_id === id)?.fate;
  return fate === "stopped" || fate === "killed" || fate === "already_stopped";
}

function expectNothingOf({ queen }: FaultGround, id: string, why: string): void {
  expect(describeProcesses(leftOf(queen.hive(id).place.stateDir)), `what lives of the hive ${id}, which ${why}`).toBe("");
}

function anyUnordered({ queen }: FaultGround, random: SeededRandom, active: readonly ActiveFault[]): string | null {
  const isFree = (id: string): boolean => active.every(({ ordered }) => ordered !== id);
  return random.pick((queen.config.hives ?? []).map(({ id }) => id).filter(isFree));
}

/** Its workers, each with its process; found in the process table, as the queen may be frozen and answer nothing. */
function workersOn({ queen }: FaultGround, hiveId: string): readonly string[] {
  return enginesOf(queen.hive(hiveId).place.stateDir)
    .map((found) => `${workerIdOf(found)} ${found.identity.pid}`)
    .toSorted();
}

async function hiveOf({ queen }: FaultGround, id: string): Promise<HiveRecord> {
  return await queen.peer.call(QUEEN_ENDPOINTS.getHive, { params: { hive_id: id } });
}

async function accepted(order: () => Promise<unknown>): Promise<void> {
  await until(async () => order().then(() => true), UNDONE_WITHIN_MS, "an operator's order to be accepted");
}
