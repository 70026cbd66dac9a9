import { existsSync, readdirSync, realpathSync } from "node:fs";
import { parseWorkerId, type WorkerId } from "@queen-and-hive/protocol";
import type { FoundProcess } from "../process/find-ours.ts";
import { peekStateId } from "../store/state-id.ts";
import type { StatePaths } from "../store/state-paths.ts";

/** The live processes of the workers of a state directory, found without its daemon. */
export async function liveProcesses(paths: StatePaths): Promise<readonly FoundProcess[]> {
  const stateId = peekStateId(paths);
  if (stateId === null || workerNames(paths).length === 0) return [];
  const { findOurs } = await import("../process/find-ours.ts");
  return findOurs({ stateId, workersDir: realpathSync(paths.workersDir) }, new Map());
}

/** How many workers of a state directory have a live process. */
export async function countLiveWorkers(paths: StatePaths): Promise<number> {
  return new Set((await liveProcesses(paths)).map(({ workerId }) => workerId)).size;
}

/** Whether a daemon that starts here would find workers to adopt, to reap or to start again. */
export async function hasWorkers(paths: StatePaths): Promise<boolean> {
  const names = workerNames(paths);
  if (names.length === 0) return false;
  const { Ledger } = await import("../store/ledger.ts");
  const ledger = Ledger.open(paths.dir);
  return names.some((workerId) => existsSync(ledger.pathsOf(workerId).entry)) || (await liveProcesses(paths)).length > 0;
}

function workerNames(paths: StatePaths): readonly WorkerId[] {
  if (!existsSync(paths.workersDir)) return [];
  return readdirSync(paths.workersDir).flatMap((name) => parseWorkerId(name) ?? []);
}
