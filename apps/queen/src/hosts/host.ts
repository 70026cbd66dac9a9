import type { Deadline, ProcessIdentity } from "@queen-and-hive/daemon";
import type { HiveStartAnswer, HiveStartRequest, HiveStatusAnswer, HiveStopAnswer } from "@queen-and-hive/protocol";

/** How a hive is to be stopped. */
export interface HiveStop {
  readonly keepWorkers: boolean;
  /** Only a hive of this queen is stopped. */
  readonly queenId: string;
}

/**
 * A machine on which hive commands can be run. Every command ends by its deadline. Throws the error kind that the command
 * printed, `host_unreachable` when the command could not be run or answered nothing that can be trusted, and
 * `deadline_exceeded` when it did not end in time.
 */
export interface Host {
  /** How lists name it. */
  readonly name: string;
  start(request: HiveStartRequest, deadline: Deadline, signal?: AbortSignal): Promise<HiveStartAnswer>;
  status(deadline: Deadline, signal?: AbortSignal): Promise<HiveStatusAnswer>;
  stop(stop: HiveStop, deadline: Deadline, signal?: AbortSignal): Promise<HiveStopAnswer>;
  /** Whether a process of this host still lives; null when the host cannot tell from here. */
  isAlive(identity: ProcessIdentity): boolean | null;
}
