import { type Clock, type Deadline, systemClock } from "@queen-and-hive/daemon/basics";
import { type HiveIdentity, QhError } from "@queen-and-hive/protocol";
import type { Environment } from "../config-environment.ts";
import { readServingIdentity } from "../store/identity-file.ts";
import type { StatePaths } from "../store/state-paths.ts";
import { lockHolder } from "./daemon-lock.ts";
import { launchDaemon } from "./launch-daemon.ts";
import { ownCommand } from "./own-command.ts";

/** The daemon that runs in a state directory now. */
export interface FoundDaemon {
  readonly identity: HiveIdentity;
  readonly alreadyRunning: boolean;
}

/** Pause between two looks at a daemon that is just starting or ending. */
const LOOK_AGAIN_MS = 25;

/**
 * Launches the daemon, or finds the one that runs. The daemon's lock decides: when it is taken, its holder runs, is about to
 * say who it is, or is about to end; the first is the answer, for the others this looks again until the deadline.
 * Throws as `launchDaemon`, and `deadline_exceeded`.
 */
export async function launchOrFind(
  paths: StatePaths,
  environment: Environment,
  deadline: Deadline,
  clock: Clock = systemClock,
): Promise<FoundDaemon> {
  using signal = deadline.signal();
  for (;;) {
    const outcome = await launchDaemon({ paths, command: ownCommand(), environment, deadline });
    if (outcome.kind === "listening") return { identity: outcome.identity, alreadyRunning: false };
    const identity = readServingIdentity(paths);
    if (identity !== null) return { identity, alreadyRunning: true };
    await lookAgainLater(paths, clock, signal);
  }
}

async function lookAgainLater(paths: StatePaths, clock: Clock, signal: AbortSignal): Promise<void> {
  try {
    await clock.sleep(LOOK_AGAIN_MS, signal);
  } catch (cause) {
    const holder = lockHolder(paths.daemonLock);
    const who =
      holder === null ? "is free by now: try again" : `is held by process ${holder}, which neither says who it is nor ends`;
    throw new QhError("deadline_exceeded", `cannot start or find the hive in ${paths.dir} in time: ${paths.daemonLock} ${who}`, {
      cause,
    });
  }
}
