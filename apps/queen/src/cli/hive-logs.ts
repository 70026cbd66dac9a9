import { COMMAND_EXIT, QUEEN_ENDPOINTS } from "@queen-and-hive/protocol";
import type { ConfigSurroundings } from "../config/load.ts";
import type { CommonOptions } from "./program.ts";
import { findQueen, openQueen } from "./queen-client.ts";

/** `queen hive logs HIVE`: the last lines of the daemon's own log, read on its host. */
export async function hiveLogs(
  id: string,
  options: CommonOptions & { readonly tail?: string },
  around: ConfigSurroundings,
): Promise<number> {
  await using queen = openQueen(findQueen(options, around));
  const query = options.tail === undefined ? {} : { tail: options.tail };
  const text = await queen.call(QUEEN_ENDPOINTS.getHiveLogs, { params: { hive_id: id }, query });
  if (options.json === true) process.stdout.write(`${JSON.stringify({ hive_id: id, lines: linesOf(String(text)) })}\n`);
  else process.stdout.write(String(text));
  return COMMAND_EXIT.done;
}

function linesOf(text: string): readonly string[] {
  return text.split("\n").filter((line) => line !== "");
}
