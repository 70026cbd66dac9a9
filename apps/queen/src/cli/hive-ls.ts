import { COMMAND_EXIT, formatDurationMs, QUEEN_ENDPOINTS } from "@queen-and-hive/protocol";
import type { ConfigSurroundings } from "../config/load.ts";
import { stateOf } from "./hive-table.ts";
import type { CommonOptions } from "./program.ts";
import { findQueen, openQueen } from "./queen-client.ts";
import { formatTable } from "./table.ts";

const HEADING = ["HIVE", "HOST", "STATE", "AGE", "PID", "RESTARTS", "URL"];

/** `queen hive ls`: where each hive is and what runs there. */
export async function hiveLs(options: CommonOptions, around: ConfigSurroundings): Promise<number> {
  await using queen = openQueen(findQueen(options, around));
  const { hives } = await queen.call(QUEEN_ENDPOINTS.listHives);
  if (options.json === true) {
    process.stdout.write(`${JSON.stringify({ hives })}\n`);
    return COMMAND_EXIT.done;
  }
  const rows = hives.map((hive) => [
    hive.hive_id,
    hive.host,
    stateOf(hive),
    formatDurationMs(Math.max(0, Date.now() - Date.parse(hive.since))),
    hive.pid === null ? "-" : String(hive.pid),
    String(hive.restarts),
    hive.url ?? "-",
  ]);
  process.stdout.write(`${formatTable([HEADING, ...rows])}\n`);
  return COMMAND_EXIT.done;
}
