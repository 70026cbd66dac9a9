import { existsSync } from "node:fs";
import { Deadline, systemClock } from "@queen-and-hive/daemon/basics";
import { COMMAND_EXIT, type HiveIdentity, type HiveStopAnswer } from "@queen-and-hive/protocol";
import { ownEnvironment } from "../config-environment.ts";
import { readLastIdentity, readLiveIdentity } from "../store/identity-file.ts";
import { ownedByAnother, peekOwner } from "../store/ownership.ts";
import type { StatePaths } from "../store/state-paths.ts";
import { lockHolder } from "./daemon-lock.ts";
import { findState } from "./find-state.ts";
import { launchOrFind } from "./launch-or-find.ts";
import { countLiveWorkers, hasWorkers, liveProcesses } from "./live-workers.ts";
import { asFailure, type CommandResult } from "./output.ts";
import { takeLock } from "./start-lock.ts";
import { type DaemonFate, stopDaemon } from "./stop-daemon.ts";

/** The flags of `hive stop`. */
export interface StopFlags {
  readonly stateDir?: string;
  readonly keepWorkers: boolean;
  /** Only when this queen owns the hive. */
  readonly queenId?: string;
  /** How long everything may take, in milliseconds. */
  readonly deadlineMs: number;
}

/**
 * `hive stop`: ends the daemon and, unless they are kept, its workers, and says only what was proven by identity. A dead or
 * mute daemon does not protect its workers: a fresh one adopts them and stops them. Exit code 1 when anything may be left.
 */
export async function stop(flags: StopFlags): Promise<CommandResult> {
  const paths = findState(flags);
  const answer = existsSync(paths.dir) ? await stopLocked(paths, flags) : NOTHING_THERE;
  return {
    json: answer,
    text: sentences(answer, paths),
    exitCode: answer.left.length === 0 ? COMMAND_EXIT.done : COMMAND_EXIT.failed,
  };
}

const NOTHING_THERE: HiveStopAnswer = { hive_id: null, was_running: false, workers_kept: 0, stopped: [], left: [] };

async function stopLocked(paths: StatePaths, flags: StopFlags): Promise<HiveStopAnswer> {
  const deadline = Deadline.in(flags.deadlineMs);
  await using _lock = await takeLock(paths.startLock, deadline);
  const owner = peekOwner(paths);
  if (flags.queenId !== undefined && owner !== null && owner.queen_id !== flags.queenId)
    throw ownedByAnother(owner, flags.queenId);
  const workers = flags.keepWorkers ? "keep" : "stop";
  const running = await findRunning(paths, deadline);
  const fates: DaemonFate[] = running === null ? [] : [await stopDaemon(paths, running, workers, deadline)];
  const left = fates.flatMap((fate) => fate.left);
  const isOver = fates.some(({ answered }) => answered) && (await liveProcesses(paths)).length === 0;
  if (!flags.keepWorkers && !isOver && left.length === 0 && (await hasWorkers(paths))) {
    try {
      const fresh = await launchOrFind(paths, ownEnvironment(), deadline);
      fates.push(await stopDaemon(paths, fresh.identity, workers, deadline));
    } catch (error) {
      left.push(`workers in ${paths.dir}: no fresh daemon could adopt and stop them: ${asFailure(error).message}`);
    }
  }
  return answerOf(paths, flags, running !== null, fates, left);
}

/** Pause between two looks at a daemon that is just starting. */
const LOOK_AGAIN_MS = 25;

/** The daemon that runs. One whose `hive start` was killed is there before it says who it is: its lock tells, and is waited for. */
async function findRunning(paths: StatePaths, deadline: Deadline): Promise<HiveIdentity | null> {
  using signal = deadline.signal();
  for (;;) {
    const isHeld = lockHolder(paths.daemonLock) !== null;
    const running = readLiveIdentity(paths);
    if (running !== null || !isHeld) return running;
    await systemClock.sleep(LOOK_AGAIN_MS, signal);
  }
}

async function answerOf(
  paths: StatePaths,
  flags: StopFlags,
  wasRunning: boolean,
  fates: readonly DaemonFate[],
  left: readonly string[],
): Promise<HiveStopAnswer> {
  const alive = flags.keepWorkers ? [] : await liveProcesses(paths);
  return {
    hive_id: readLastIdentity(paths)?.hive_id ?? null,
    was_running: wasRunning,
    workers_kept: flags.keepWorkers ? await countLiveWorkers(paths) : 0,
    stopped: fates.flatMap((fate) => fate.stopped),
    left: [
      ...new Set([
        ...left,
        ...fates.flatMap((fate) => fate.left),
        ...alive.map(({ workerId, identity }) => `process ${identity.pid} of ${workerId}`),
      ]),
    ],
  };
}

function sentences(answer: HiveStopAnswer, paths: StatePaths): string {
  const { hive_id, was_running, workers_kept, stopped, left } = answer;
  return [
    was_running ? `hive ${hive_id} has ended` : `no hive ran in ${paths.dir}`,
    ...stopped
      .filter(({ what }) => what !== "hive")
      .map(({ worker_id, pid, how }) => `  ${worker_id ?? "a leftover"}: process ${pid} ${how}`),
    ...(workers_kept > 0 ? [`  ${workers_kept} worker(s) kept: the next start adopts them`] : []),
    ...left.map((what) => `  LEFT: ${what}`),
  ].join("\n");
}
