import { type Peer, systemClock } from "@queen-and-hive/daemon";
import { COMMAND_EXIT, type HiveRecord, QhError, QUEEN_ENDPOINTS } from "@queen-and-hive/protocol";
import type { ConfigSurroundings } from "../config/load.ts";
import { stateOf } from "./hive-table.ts";
import type { CommonOptions } from "./program.ts";
import { ProgressLines } from "./progress-lines.ts";
import { findQueen, openQueen, stopOrderMs } from "./queen-client.ts";

const RUNNING: ReadonlySet<HiveRecord["state"]> = new Set(["running", "draining"]);
/** Pause between two looks at hives that start, milliseconds. */
const LOOK_EVERY_MS = 250;

/**
 * `queen hive start|restart HIVE...`: starts hives, all at once, and follows them until each runs or has failed to. A restart
 * ends the daemon first and leaves its workers running.
 */
export async function hiveStart(
  order: "start" | "restart",
  ids: readonly string[],
  options: CommonOptions & { readonly wait?: boolean },
  around: ConfigSurroundings,
): Promise<number> {
  await using queen = openQueen(findQueen(options, around), stopOrderMs(options, around));
  const progress = options.json === true ? null : new ProgressLines();
  const hives = await Promise.all(ids.map((id) => startOne(queen, id, options.wait !== false, progress, order)));
  progress?.end();
  if (options.json === true) process.stdout.write(`${JSON.stringify({ hives })}\n`);
  return hives.every((hive) => options.wait === false || RUNNING.has(hive.state)) ? COMMAND_EXIT.done : COMMAND_EXIT.failed;
}

/** Shows how far a hive is on its way, until it runs, or does not; an attempt that failed is not waited out. */
export async function followStart(queen: Peer, id: string, progress: ProgressLines | null): Promise<HiveRecord> {
  const params = { hive_id: id };
  let last: HiveRecord | null = null;
  for (;;) {
    const hive: HiveRecord = await queen.call(QUEEN_ENDPOINTS.getHive, { params }).catch(orGone(last));
    progress?.set(id, sentence(hive));
    if (isSettled(hive)) return hive;
    last = hive;
    await systemClock.sleep(LOOK_EVERY_MS);
  }
}

async function startOne(
  queen: Peer,
  id: string,
  wait: boolean,
  progress: ProgressLines | null,
  order: "start" | "restart",
): Promise<HiveRecord> {
  if (order === "restart") progress?.set(id, "ending its daemon; its workers go on");
  const endpoint = order === "start" ? QUEEN_ENDPOINTS.postHiveStart : QUEEN_ENDPOINTS.postHiveRestart;
  const hive = await queen.call(endpoint, { params: { hive_id: id } });
  progress?.set(id, sentence(hive));
  return wait ? await followStart(queen, id, progress) : hive;
}

function isSettled({ state }: HiveRecord): boolean {
  return state !== "starting" && state !== "stopping" && state !== "suspect" && state !== "hung";
}

function sentence(hive: HiveRecord): string {
  const error = hive.last_error === undefined ? "" : `: ${hive.last_error}`;
  if (RUNNING.has(hive.state)) return `${hive.state}: process ${hive.pid ?? "unknown"}, ${hive.url ?? "no address"}`;
  const again = hive.state === "crashed" || hive.state === "unreachable" ? " (it is tried again)" : "";
  return `${stateOf(hive)}${error}${again}`;
}

/** A hive that was removed meanwhile is no longer waited for. */
function orGone(last: HiveRecord | null): (error: unknown) => HiveRecord {
  return (error) => {
    if (last !== null && error instanceof QhError && error.kind === "hive_not_found") return { ...last, state: "stopped" };
    throw error;
  };
}
