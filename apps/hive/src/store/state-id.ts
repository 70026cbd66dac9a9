import { randomBytes } from "node:crypto";
import { readTextIfThere, setAside, writeFileDurableSync } from "@queen-and-hive/daemon/basics";
import type { StatePaths } from "./state-paths.ts";

const STATE_ID_BYTES = 12;
const STATE_ID = /^[0-9a-f]{24}$/;

/** The random name of a state directory: every process that its hive spawns carries it. */
export interface StateId {
  readonly stateId: string;
  readonly loss: string | null;
}

/** Reads the state id, or makes it at the first start. Throws `storage_failed`. */
export function openStateId(paths: StatePaths): StateId {
  const kept = readTextIfThere(paths.stateId)?.trim() ?? null;
  if (kept !== null && STATE_ID.test(kept)) return { stateId: kept, loss: null };
  const keptAs = kept === null ? null : setAside(paths.stateId);
  const stateId = randomBytes(STATE_ID_BYTES).toString("hex");
  writeFileDurableSync(paths.stateId, `${stateId}\n`);
  return {
    stateId,
    loss:
      kept === null
        ? null
        : `the state id in ${paths.stateId} was damaged (kept as ${keptAs}): workers without a record are no longer known as ours`,
  };
}

/** The state id when there is one; for commands that only look. Throws `storage_failed`. */
export function peekStateId(paths: StatePaths): string | null {
  const kept = readTextIfThere(paths.stateId)?.trim() ?? null;
  return kept !== null && STATE_ID.test(kept) ? kept : null;
}
