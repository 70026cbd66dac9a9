import { existsSync } from "node:fs";
import { createLog, createMetrics, Deadline, type Log, onSignals, systemClock } from "@queen-and-hive/daemon";
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

async function serve({ paths, settings, environment, flags, log }: Service): Promise<number> {
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
