import { COMMAND_EXIT, formatBytes, formatDurationMs, QUEEN_ENDPOINTS } from "@queen-and-hive/protocol";
import type { ConfigSurroundings } from "../config/load.ts";
import type { CommonOptions } from "./program.ts";
import { findQueen, openQueen } from "./queen-client.ts";
import { formatTable } from "./table.ts";

/** `queen ps`: every worker of every hive. */
export async function ps(options: CommonOptions, around: ConfigSurroundings): Promise<number> {
  await using queen = openQueen(findQueen(options, around));
  const { workers } = await queen.call(QUEEN_ENDPOINTS.listWorkers);
  if (options.json === true) {
    process.stdout.write(`${JSON.stringify({ workers })}\n`);
    return COMMAND_EXIT.done;
  }
  const rows = workers.map((worker) => [
    worker.worker_id,
    worker.model,
    worker.runtime,
    worker.hive_id,
    worker.progress === null ? worker.state : `${worker.state} (${worker.progress})`,
    worker.pid === null ? "-" : String(worker.pid),
    `${worker.in_flight ?? 0}/${worker.slots ?? "?"}`,
    String(worker.restarts),
    worker.resident_bytes === undefined ? "-" : formatBytes(worker.resident_bytes),
    formatDurationMs(Date.now() - Date.parse(worker.since)),
    worker.exit === undefined ? "" : worker.exit.cause,
  ]);
  const heading = ["WORKER", "MODEL", "RUNTIME", "HIVE", "STATE", "PID", "BUSY", "RESTARTS", "MEMORY", "FOR", "LAST EXIT"];
  process.stdout.write(`${formatTable([heading, ...rows])}\n`);
  return COMMAND_EXIT.done;
}
