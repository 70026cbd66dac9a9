import { metricOf } from "@queen-and-hive/dev-env";
import type { FaultGround } from "./fault-ground.ts";
import type { ActiveFault } from "./nemesis.ts";
import { daemonsOf, enginesOf, workerIdOf } from "./processes.ts";

/** What there was at a quiet point. */
export interface QuietPoint {
  /** Hive or worker -> the process that it is, as `pid@start_time`. */
  readonly processes: ReadonlyMap<string, string>;
  /** How often this run of the queen has had to ask for what a ready callback should have told. */
  readonly polls: number;
}

/** Looks at the process table and the queen's own counter. */
export async function quietPointOf({ queen, folder }: FaultGround): Promise<QuietPoint> {
  const daemons = (queen.config.hives ?? []).flatMap((hive) =>
    daemonsOf(hive.state_dir ?? "").map((found) => [hive.id, found] as const),
  );
  const engines = enginesOf(folder).map((found) => [workerIdOf(found), found] as const);
  return {
    processes: new Map([...daemons, ...engines].map(([id, { identity }]) => [id, `${identity.pid}@${identity.start_time}`])),
    polls: (await metricOf(queen.url, "queen_ready_fallback_polls_total")) ?? Number.NaN,
  };
}

/**
 * What happened between two quiet points although no fault explains it, one line each: a hive or a worker that is another
 * process, and a queen that asked for readiness although nothing had held a callback up.
 */
export function unexplained(before: QuietPoint, after: QuietPoint, faults: readonly ActiveFault[]): readonly string[] {
  const mayEnd = new Set(faults.flatMap((fault) => fault.mayEnd ?? []));
  const changed = [...before.processes]
    .filter(([id, process]) => !mayEnd.has(id) && (after.processes.get(id) ?? process) !== process)
    .map(([id, process]) => `${id} was process ${process} and is ${after.processes.get(id)}, and nothing struck it`);
  // Another run of the queen counts anew.
  const polls = after.polls - (faults.some(({ cutsClients }) => cutsClients === true) ? 0 : before.polls);
  const isLate = faults.some(({ delaysCallbacks }) => delaysCallbacks === true);
  return polls === 0 || (isLate && polls > 0)
    ? changed
    : [...changed, `the queen asked ${polls} times whether a worker is ready, and nothing held a callback up`];
}
