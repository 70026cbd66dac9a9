import { existsSync } from "node:fs";
import { createLog, createMetrics, Deadline, type Log, onSignals, systemClock } from "@queen-and-hive/daemon";
import { COMMAND_EXIT, type HiveConfigInput, QhError } from "@queen-and-hive/protocol";
import type { HiveSettings } from "../config.ts";
import { ownEnvironment } from "../config-environment.ts";
import { loadHiveSettings, locateStateDir, readConfigAlone } from "../config-load.ts";
import type { RunningHive } from "../hive.ts";
import { readLiveIdentity } from "../store/identity-file.ts";
import { openStateDirectory } from "../store/state-directory.ts";
import type { StatePaths } from "../store/state-paths.ts";
import { VERSION } from "./build-info.ts";
import { becomeLocked, holdsLock } from "./daemon-lock.ts";
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
    const named: HiveConfigInput = flags.config === undefined ? {} : readConfigAlone(flags.config);
    const paths = await openStateDirectory(locateStateDir(flags, named, env));
    takeDaemonLock(paths, flags, words);
    const file = flags.config ?? (existsSync(paths.config) ? paths.config : null);
    const { settings, warnings } = loadHiveSettings(file, env);
    const log = openLog(paths, settings, flags);
    for (const warning of warnings) log.warn(warning);
    return await serve(paths, settings, flags, log);
  } catch (error) {
    const failure = asFailure(error);
    say(failure);
    return exitCodeOf(failure.kind);
  }
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
  if (flags.locked === true) {
    throw new QhError(
      "storage_failed",
      `cannot hold ${paths.daemonLock}: flock ran, but the lock is not ours; is ${paths.dir} on a local file system?`,
    );
  }
  becomeLocked(paths.daemonLock, [...ownCommand(), ...words, "--locked"], ownEnvironment());
}

/** A daemon in the background writes to its file only: its standard error is a file as well, for crashes. */
function openLog(paths: StatePaths, settings: HiveSettings, flags: RunFlags): Log {
  const { level, format, maxBytes, keep } = settings.log;
  return createLog({
    program: "hive",
    level,
    format,
    file: { path: paths.log, maxBytes, keep },
    ...(flags.handshakeFd === undefined ? {} : { stream: null }),
  }).child({ hive_id: settings.hiveId });
}

async function serve(paths: StatePaths, settings: HiveSettings, flags: RunFlags, log: Log): Promise<number> {
  const { openHive } = await import("../hive.ts");
  const environment = ownEnvironment();
  try {
    const hive = await openHive({
      paths,
      settings,
      environment,
      version: VERSION,
      clock: systemClock,
      log,
      metrics: createMetrics(),
    });
    using _signals = stopOnSignals(hive, settings, log);
    if (flags.handshakeFd !== undefined) sayHandshake(flags.handshakeFd, { kind: "listening", identity: hive.identity });
    await hive.ended;
    return COMMAND_EXIT.done;
  } finally {
    log.info("the hive has ended");
    await log.close();
  }
}

function stopOnSignals(hive: RunningHive, settings: HiveSettings, log: Log): Disposable {
  return onSignals({
    signals: ["SIGTERM", "SIGINT", "SIGHUP"],
    handle: (signal, count) => {
      if (count > 1) log.warn("the hive is stopping already", { signal });
      else void hive.stop("stop", Deadline.in(settings.shutdown.budgetMs));
    },
  });
}
