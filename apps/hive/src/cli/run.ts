import { type HiveConfigInput, QhError } from "@queen-and-hive/protocol";
import { ownEnvironment } from "../config-environment.ts";
import { locateStateDir } from "../config-place.ts";
import { readLiveIdentity } from "../store/identity-file.ts";
import { openStateDirectory } from "../store/state-directory.ts";
import type { StatePaths } from "../store/state-paths.ts";
import { becomeLocked, holdsLock, lockHolder } from "./daemon-lock.ts";
import { sayHandshake } from "./handshake.ts";
import { asFailure, exitCodeOf } from "./output.ts";
import { ownCommand } from "./own-command.ts";

/** The flags of `hive run`. */
export interface RunFlags {
  readonly config?: string;
  readonly stateDir?: string;
  /** An inherited descriptor on which to say "I am listening". */
  readonly handshakeFd?: number;
  /** Set by ourselves after taking the lock; never believed, only used to end a circle. */
  readonly locked?: boolean;
}

/** `hive run`: the daemon itself, until it is told to stop; returns the exit code. */
export async function run(flags: RunFlags, words: readonly string[]): Promise<number> {
  const say = (failure: QhError): void => {
    process.stderr.write(`hive: ${failure.message}\n`);
    if (flags.handshakeFd !== undefined) sayHandshake(flags.handshakeFd, { kind: "failed", error: failure });
  };
  try {
    const env = ownEnvironment();
    const paths = await openStateDirectory(locateStateDir(flags, await readNamed(flags), env));
    takeDaemonLock(paths, flags, words);
    // Everything heavy comes after the lock: taking it starts this program a second time.
    const { runDaemon } = await import("./run-daemon.ts");
    return await runDaemon(paths, flags, env);
  } catch (error) {
    const failure = asFailure(error);
    say(failure);
    return exitCodeOf(failure.kind);
  }
}

async function readNamed({ config }: RunFlags): Promise<HiveConfigInput> {
  if (config === undefined) return {};
  const { readConfigAlone } = await import("../config-load.ts");
  return readConfigAlone(config);
}

function takeDaemonLock(paths: StatePaths, flags: RunFlags, words: readonly string[]): void {
  if (holdsLock(paths.daemonLock)) return;
  const running = readLiveIdentity(paths);
  if (running !== null) {
    throw new QhError(
      "already_running",
      `cannot run a second hive in ${paths.dir}: ${running.hive_id} runs as process ${running.pid} at ${running.url}; stop it with \`hive stop --state-dir ${paths.dir}\``,
      { details: { identity: running } },
    );
  }
  const holder = lockHolder(paths.daemonLock);
  if (holder !== null) {
    throw new QhError(
      "already_running",
      `cannot run a second hive in ${paths.dir}: process ${holder} holds ${paths.daemonLock}, a hive that is just starting or ending; look with \`hive status --state-dir ${paths.dir}\` and try again`,
      { details: { pid: holder } },
    );
  }
  if (flags.locked === true) {
    throw new QhError(
      "storage_failed",
      `cannot hold ${paths.daemonLock}: flock ran, but the lock is not ours; is ${paths.dir} on a local file system?`,
    );
  }
  becomeLocked(paths.daemonLock, [...ownCommand(), ...words, "--locked"], ownEnvironment());
}
