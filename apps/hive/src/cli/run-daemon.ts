import { existsSync } from "node:fs";
import { createLog, createMetrics, Deadline, type Log, onSignals, surviveFaults, systemClock } from "@queen-and-hive/daemon";
import { COMMAND_EXIT } from "@queen-and-hive/protocol";
import type { HiveSettings } from "../config.ts";
import type { Environment } from "../config-environment.ts";
import { loadHiveSettings } from "../config-load.ts";
import { openHive, type RunningHive } from "../hive.ts";
import type { StatePaths } from "../store/state-paths.ts";
import { VERSION } from "./build-info.ts";
import { sayHandshake } from "./handshake.ts";
import type { RunFlags } from "./run.ts";

/** The daemon from its configuration to its end, once its lock is taken; returns the exit code. Throws what stops it from starting. */
export async function runDaemon(paths: StatePaths, flags: RunFlags, environment: Environment): Promise<number> {
  const file = flags.config ?? (existsSync(paths.config) ? paths.config : null);
  const { settings, warnings } = loadHiveSettings(file, environment);
  const log = openLog(paths, settings, flags);
  for (const warning of warnings) log.warn(warning);
  return await serve({ paths, settings, environment, flags, log });
}

interface Service {
  readonly paths: StatePaths;
  readonly settings: HiveSettings;
  readonly environment: Environment;
  readonly flags: RunFlags;
  readonly log: Log;
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

/** What a second Ctrl-C still leaves for the workers and the daemon. */
const HURRIED_MS = 1_500;

async function serve({ paths, settings, environment, flags, log }: Service): Promise<number> {
  const stop = new SignalledStop(settings, log);
  const metrics = createMetrics();
  // One worker's fault takes the supervision from no other.
  using _faults = surviveFaults({ program: "hive", log, metrics });
  // Before anything is adopted: a signal must not leave workers without a daemon.
  using _signals = onSignals({
    signals: ["SIGTERM", "SIGINT", "SIGHUP"],
    handle: (signal, count) => stop.hear(signal, count),
  });
  try {
    const hive = await openHive({
      paths,
      settings,
      environment,
      version: VERSION,
      clock: systemClock,
      log,
      metrics,
    });
    stop.opened(hive);
    if (flags.handshakeFd !== undefined && !stop.isWanted)
      sayHandshake(flags.handshakeFd, { kind: "listening", identity: hive.identity });
    await hive.ended;
    return COMMAND_EXIT.done;
  } finally {
    log.info("the hive has ended");
    await log.close();
  }
}

/** The stop that signals ask for; one that comes while the hive opens is made right afterwards. */
class SignalledStop {
  readonly #settings: HiveSettings;
  readonly #log: Log;
  #hive: RunningHive | null = null;
  #deadline: Deadline | null = null;

  constructor(settings: HiveSettings, log: Log) {
    this.#settings = settings;
    this.#log = log;
  }

  get isWanted(): boolean {
    return this.#deadline !== null;
  }

  hear(signal: NodeJS.Signals, count: number): void {
    // Others than Ctrl-C come twice without anybody meaning it: service managers send SIGHUP after SIGTERM.
    if (count > 1 && signal !== "SIGINT") {
      this.#log.warn("the hive is stopping already", { signal });
      return;
    }
    const deadline = Deadline.in(count === 1 ? this.#settings.shutdown.budgetMs : HURRIED_MS);
    this.#deadline = this.#deadline?.min(deadline) ?? deadline;
    if (this.#hive === null) this.#log.info("the hive stops as soon as it has opened", { signal });
    else void this.#hive.stop("stop", this.#deadline);
  }

  opened(hive: RunningHive): void {
    this.#hive = hive;
    if (this.#deadline !== null) void hive.stop("stop", this.#deadline);
  }
}
