import { COMMAND_EXIT, QUEEN_ENDPOINTS } from "@queen-and-hive/protocol";
import type { ConfigSurroundings } from "../config/load.ts";
import { stateOf } from "./hive-table.ts";
import type { CommonOptions } from "./program.ts";
import { ProgressLines } from "./progress-lines.ts";
import { findQueen, openQueen } from "./queen-client.ts";

/** `queen hive drain|resume HIVE...`: sends hives nothing new, or takes them into use again; workers and open requests go on. */
export async function hiveDrain(
  order: "drain" | "resume",
  ids: readonly string[],
  options: CommonOptions,
  around: ConfigSurroundings,
): Promise<number> {
  await using queen = openQueen(findQueen(options, around));
  const endpoint = order === "drain" ? QUEEN_ENDPOINTS.postHiveDrain : QUEEN_ENDPOINTS.postHiveResume;
  const progress = options.json === true ? null : new ProgressLines();
  const hives = await Promise.all(
    ids.map(async (id) => {
      const hive = await queen.call(endpoint, { params: { hive_id: id } });
      progress?.set(id, order === "drain" ? `${stateOf(hive)}: nothing new goes there until it is resumed` : stateOf(hive));
      return hive;
    }),
  );
  if (options.json === true) process.stdout.write(`${JSON.stringify({ hives })}\n`);
  return COMMAND_EXIT.done;
}
