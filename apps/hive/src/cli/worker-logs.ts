import { HIVE_ENDPOINTS } from "@queen-and-hive/protocol";
import { daemonClient, requireRunning } from "./daemon-client.ts";
import { findState } from "./find-state.ts";
import type { CommandResult } from "./output.ts";

/** The flags of `hive worker logs`. */
export interface WorkerLogsFlags {
  readonly stateDir?: string;
  readonly tail?: number;
}

const ANSWER_MS = 5_000;

/** `hive worker logs`: the last lines of a worker's own output. */
export async function workerLogs(workerId: string, flags: WorkerLogsFlags): Promise<CommandResult> {
  const paths = findState(flags);
  await using peer = daemonClient(paths, requireRunning(paths), ANSWER_MS);
  const text = await peer.call<typeof HIVE_ENDPOINTS.getWorkerLogs>(HIVE_ENDPOINTS.getWorkerLogs, {
    params: { worker_id: workerId },
    query: queryOf(flags),
  });
  const lines = text.split("\n").slice(0, -1);
  return { json: { worker_id: workerId, lines }, text: lines.join("\n") };
}

/** What the flags ask the hive for. */
export function queryOf({ tail }: WorkerLogsFlags): { readonly tail?: string } {
  return tail === undefined ? {} : { tail: String(tail) };
}
