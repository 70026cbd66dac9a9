import { COMMAND_EXIT, QUEEN_ENDPOINTS } from "@queen-and-hive/protocol";
import type { ConfigSurroundings } from "../config/load.ts";
import { describeFate, isCleanFate } from "../hives/stop-cascade.ts";
import type { CommonOptions } from "./program.ts";
import { ProgressLines } from "./progress-lines.ts";
import { findQueen, openQueen, stopOrderMs } from "./queen-client.ts";

/** `queen hive stop HIVE...`: stops hives, all at once; they stay so until an operator starts them. 1 when something may be left. */
export async function hiveStop(
  ids: readonly string[],
  options: CommonOptions & { readonly keepWorkers?: boolean },
  around: ConfigSurroundings,
): Promise<number> {
  await using queen = openQueen(findQueen(options, around), stopOrderMs(options, around));
  const progress = options.json === true ? null : new ProgressLines();
  const workers = options.keepWorkers === true ? "keep" : "stop";
  const fates = await Promise.all(
    ids.map(async (id) => {
      progress?.set(id, "stopping");
      const fate = await queen.call(QUEEN_ENDPOINTS.postHiveStop, { params: { hive_id: id }, body: { workers } });
      progress?.set(id, describeFate(fate).slice(`${id}: `.length));
      return fate;
    }),
  );
  progress?.end();
  if (options.json === true) process.stdout.write(`${JSON.stringify({ hives: fates })}\n`);
  return fates.every(isCleanFate) ? COMMAND_EXIT.done : COMMAND_EXIT.failed;
}
