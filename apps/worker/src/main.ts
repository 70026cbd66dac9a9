import { createLog, systemClock } from "@queen-and-hive/daemon";
import { processSurroundings } from "./config/process-surroundings.ts";
import { readWorkerConfig } from "./config/worker-config.ts";
import { StartFailure } from "./domain/start-failure.ts";
import { runWorker } from "./worker.ts";

// No top-level await: the single-file hive imports this file in bundled form.
start().then(
  () => process.exit(0),
  (error: unknown) => {
    if (error instanceof StartFailure) process.stderr.write(`worker: ${error.message}\n`);
    else console.error("worker: cannot go on because of a fault of ours:", error);
    process.exit(error instanceof StartFailure ? error.exitCode : 1);
  },
);

async function start(): Promise<void> {
  const config = readWorkerConfig(processSurroundings(import.meta.filename));
  const log = createLog({ program: "worker", level: config.logLevel, format: "auto" });
  await runWorker(config, { clock: systemClock, log, random: Math.random });
}
