import { WORKER_EXIT } from "@queen-and-hive/protocol/worker-environment";
import { type FakeWorkerOptions, HELP, readOptions } from "./options.ts";
import { runFakeWorker } from "./worker.ts";

if (process.argv.includes("--help")) console.log(HELP);
else await runFakeWorker(optionsOrExit());

function optionsOrExit(): FakeWorkerOptions {
  try {
    return readOptions(process.argv.slice(2), process.env);
  } catch (error) {
    console.error(`fake worker: ${error instanceof Error ? error.message : String(error)}`);
    process.exit(WORKER_EXIT.badConfiguration);
  }
}
