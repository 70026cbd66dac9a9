import { join } from "node:path";
import { createLog, createMetrics, Deadline, ensurePrivateDir, type Log, onSignals, surviveFaults } from "@queen-and-hive/daemon";
import { COMMAND_EXIT, type QueenShutdownAnswer } from "@queen-and-hive/protocol";
import { type ConfigSurroundings, loadSettings } from "../config/load.ts";
import type { QueenSettings } from "../config/settings.ts";
import { describeFate } from "../hives/stop-cascade.ts";
import { startQueen } from "../queen.ts";
import type { RunningQueen } from "../queen-options.ts";
import type { CommonOptions } from "./program.ts";

/** How long closing servers and registry may take after the cascade, milliseconds. */
const CLOSE_MS = 5_000;
/** `timeout`, systemd and terminals signal a whole process group, in which our launcher then passes the signal on, milliseconds. */
const ECHO_MS = 500;

/**
 * `queen serve`: serves until a signal or `queen down`. Ctrl-C is the stop cascade, SIGTERM what each hive's
 * `on_queen_exit` says; 0 when nothing is left that was to be stopped, else 1.
 */
export async function serve(options: CommonOptions, around: ConfigSurroundings): Promise<number> {
  const settings = loadSettings(options.config, around, Date.now());
  await ensurePrivateDir(join(settings.stateDir, "logs"));
  const log = openLog(settings);
  const metrics = createMetrics();
  // One request's fault cuts no other's stream.
  using _faults = surviveFaults({ program: "queen", log, metrics });
  try {
    for (const warning of settings.warnings) log.warn(warning);
    const queen = await startQueen({ settings, log, metrics, reload: () => loadSettings(options.config, around, Date.now()) });
    log.info(`the queen listens on ${queen.urls[0] ?? ""}`, {
      urls: queen.urls,
      queen_id: queen.queenId,
      queen_epoch: queen.queenEpoch,
      file: settings.file ?? "defaults",
    });
    const answer = await serveUntilStopped(queen, log);
    await queen.close(Deadline.in(CLOSE_MS));
    if (answer === null) return COMMAND_EXIT.failed;
    return answer.clean ? COMMAND_EXIT.done : COMMAND_EXIT.failed;
  } finally {
    await log.close();
  }
}

function openLog(settings: QueenSettings): Log {
  const { level, format, maxBytes, keep } = settings.log;
  return createLog({
    program: "queen",
    level,
    format,
    file: { path: join(settings.stateDir, "logs", "queen.log"), maxBytes, keep },
  });
}

/** The outcome of the cascade; null when the lock of the state directory was lost. */
async function serveUntilStopped(queen: RunningQueen, log: Log): Promise<QueenShutdownAnswer | null> {
  using _signals = onSignals({
    signals: ["SIGINT", "SIGTERM", "SIGHUP"],
    echoMs: ECHO_MS,
    handle: (signal, count) => onSignal(queen, log, signal, count),
  });
  const answer = await Promise.race([queen.stopped, queen.lockLost.then(() => null)]);
  if (answer === null) {
    log.error(
      "cannot go on: the lock of the state directory was lost, another queen may start; hives and workers are left as they are",
    );
    return null;
  }
  for (const fate of answer.hives) log.info(describeFate(fate));
  log.info(answer.clean ? "everything is stopped or kept as asked" : "something may be left, see above");
  return answer;
}

function onSignal(queen: RunningQueen, log: Log, signal: NodeJS.Signals, count: number): void {
  if (count === 1) {
    const how = signal === "SIGINT" ? "stop" : "by_config";
    queen.stop(how, `signal:${signal}`).catch((error: unknown) => log.error("the stop cascade failed", { error }));
    return;
  }
  if (count === 2) {
    log.warn("hurrying: open streams are ended now; once more leaves at once");
    queen.hurry();
    return;
  }
  const left = queen.view.hives().filter((hive) => hive.state !== "stopped");
  const names = left.map((hive) => `${hive.hive_id} (pid ${hive.pid ?? "unknown"})`).join(", ");
  process.stderr.write(`leaving at once; what may still run: ${names === "" ? "nothing" : `hives ${names} and their workers`}\n`);
  process.exit(COMMAND_EXIT.failed);
}
