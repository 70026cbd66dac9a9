import { COMMAND_EXIT, formatDurationMs, QUEEN_ENDPOINTS } from "@queen-and-hive/protocol";
import type { ConfigSurroundings } from "../config/load.ts";
import type { CommonOptions } from "./program.ts";
import { findQueen, openQueen } from "./queen-client.ts";
import { formatTable } from "./table.ts";

/** `queen status`: her health and her hives. */
export async function status(options: CommonOptions, around: ConfigSurroundings): Promise<number> {
  await using queen = openQueen(findQueen(options, around));
  const [health, { hives }] = await Promise.all([queen.call(QUEEN_ENDPOINTS.getHealth), queen.call(QUEEN_ENDPOINTS.listHives)]);
  if (options.json === true) {
    process.stdout.write(`${JSON.stringify({ ...health, hives })}\n`);
    return COMMAND_EXIT.done;
  }
  const workers = Object.entries(health.workers ?? {}).map(([state, count]) => `${count} ${state}`);
  process.stdout.write(
    `queen ${health.version ?? ""}: ${health.status}; workers: ${workers.length === 0 ? "none" : workers.join(", ")}\n\n`,
  );
  const rows = hives.map((hive) => [
    hive.hive_id,
    hive.state,
    hive.host,
    hive.pid === null ? "-" : String(hive.pid),
    String(hive.workers),
    String(hive.restarts),
    formatDurationMs(Date.now() - Date.parse(hive.since)),
    hive.url ?? "-",
    hive.last_error ?? "",
  ]);
  process.stdout.write(
    `${formatTable([["HIVE", "STATE", "HOST", "PID", "WORKERS", "RESTARTS", "FOR", "URL", "LAST ERROR"], ...rows])}\n`,
  );
  return COMMAND_EXIT.done;
}
