import { readFileSync } from "node:fs";
import { removeFromList } from "@queen-and-hive/daemon";
import {
  COMMAND_EXIT,
  type HiveFate,
  parseDurationMs,
  QhError,
  QUEEN_CONFIG_DEFAULTS,
  QUEEN_ENDPOINTS,
} from "@queen-and-hive/protocol";
import { type ConfigSurroundings, loadQueenConfig } from "../config/load.ts";
import { requireConfigFile, stageConfig } from "../config/staged-config.ts";
import { describeFate } from "../hives/stop-cascade.ts";
import type { CommonOptions } from "./program.ts";
import { openRunningQueen, stopOrderMs } from "./queen-client.ts";

/** The longest that is waited for streams to end where `drain` is off, milliseconds. */
const DRAIN_MS_MAX = 7 * 86_400_000;

/**
 * `queen hive rm HIVE...`: has the running queen drain each hive, stop it with proof and forget it, then takes it out of the
 * configuration file. A hive of which something may be left stays in both. Without a running queen the file alone changes:
 * the next queen stops what still runs.
 */
export async function hiveRm(
  ids: readonly string[],
  options: Pick<CommonOptions, "config" | "json"> & { readonly force?: boolean },
  around: ConfigSurroundings,
): Promise<number> {
  const file = requireConfigFile(options.config, around);
  const removed: { hive_id: string; fate: HiveFate | null }[] = [];
  for (const id of ids) {
    // Checked before anything is stopped: a model may be placed there.
    const isInFile = removeFromList(readFileSync(file, "utf8"), "hives", id) !== null;
    const staged = isInFile ? stageConfig(file, (text) => without(text, id, file), around) : null;
    const fate = await stopInRunningQueen(id, { ...options, config: file }, around);
    // One that left the file earlier may still be hers to stop.
    if (staged === null && fate === null) throw notInFile(id, file);
    await staged?.commit();
    removed.push({ hive_id: id, fate });
    if (options.json !== true) process.stdout.write(`${fate === null ? id : describeFate(fate)}; it is no longer in ${file}\n`);
  }
  if (options.json === true) process.stdout.write(`${JSON.stringify({ file, hives: removed })}\n`);
  return COMMAND_EXIT.done;
}

function without(text: string, id: string, file: string): string {
  const edited = removeFromList(text, "hives", id);
  if (edited === null) throw notInFile(id, file);
  return edited;
}

function notInFile(id: string, file: string): QhError {
  return new QhError("hive_not_found", `cannot remove the hive ${JSON.stringify(id)}: ${file} has none of this name`);
}

/** Null when no queen runs, or the one that does has never heard of it. */
async function stopInRunningQueen(
  id: string,
  options: CommonOptions & { readonly force?: boolean },
  around: ConfigSurroundings,
): Promise<HiveFate | null> {
  const drain = loadQueenConfig(options.config, around).value.drain ?? QUEEN_CONFIG_DEFAULTS.drain;
  const drainMs = Math.min(DRAIN_MS_MAX, parseDurationMs(drain));
  await using queen = openRunningQueen(options, around, stopOrderMs(options, around) + drainMs);
  if (queen === null) return null;
  if (options.json !== true) process.stderr.write(`${id}: its open requests may end (drain: ${drain}), then it is stopped\n`);
  try {
    return await queen.call(QUEEN_ENDPOINTS.deleteHive, {
      params: { hive_id: id },
      query: { force: options.force === true ? "true" : "false" },
    });
  } catch (error) {
    if (error instanceof QhError && error.kind === "hive_not_found") return null;
    if (error instanceof QhError && error.kind === "stop_failed") {
      throw new QhError("stop_failed", `${error.message}, or with --force if it never will`, { cause: error });
    }
    throw error;
  }
}
