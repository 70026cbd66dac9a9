import { type Clock, readStateFile, writeFileDurableSync } from "@queen-and-hive/daemon/basics";
import { lazyValidator } from "@queen-and-hive/protocol";
import type { StatePaths } from "./state-paths.ts";

interface EpochFile {
  readonly hive_epoch: number;
}

const validateEpoch = lazyValidator<EpochFile>(
  {
    type: "object",
    properties: { hive_epoch: { type: "integer", minimum: 0 } },
    required: ["hive_epoch"],
  },
  "ignore",
);

/** The epoch of this start of the daemon, and what was lost on the way. */
export interface EpochStep {
  readonly epoch: number;
  readonly loss: string | null;
}

/**
 * Counts one start: the last epoch + 1, on disk when this returns. A damaged count jumps to Unix time in seconds, which is
 * beyond any number of starts, so that no queen takes the new daemon for an older one. Throws `storage_failed`.
 */
export function nextEpoch(paths: StatePaths, clock: Clock): EpochStep {
  const content = readStateFile(paths.epoch, validateEpoch);
  const epoch = content.kind === "value" ? content.value.hive_epoch + 1 : content.kind === "absent" ? 1 : seconds(clock);
  writeFileDurableSync(paths.epoch, `${JSON.stringify({ hive_epoch: epoch } satisfies EpochFile)}\n`);
  return {
    epoch,
    loss:
      content.kind === "damaged"
        ? `the count of starts in ${paths.epoch} was damaged; it goes on at ${epoch} and the damaged file is ${content.keptAs}`
        : null,
  };
}

function seconds(clock: Clock): number {
  return Math.floor(clock.nowMs() / 1_000);
}
