import { HIVE_ENDPOINTS, type WorkerRecord } from "@queen-and-hive/protocol";
import { daemonClient, requireRunning } from "./daemon-client.ts";
import { findState } from "./find-state.ts";
import { type CommandResult, table } from "./output.ts";

const ANSWER_MS = 5_000;

/** `hive worker ls`: the workers that the running hive keeps. */
export async function workerLs(flags: { readonly stateDir?: string }): Promise<CommandResult> {
  const paths = findState(flags);
  await using peer = daemonClient(paths, requireRunning(paths), ANSWER_MS);
  const answer = await peer.call(HIVE_ENDPOINTS.listWorkers);
  return { json: answer, text: answer.workers.length === 0 ? "no workers" : table([HEADING, ...answer.workers.map(row)]) };
}

const HEADING = ["WORKER", "MODEL", "RUNTIME", "STATE", "PID", "PORT", "RESTARTS", "SINCE"];

function row({ worker_id, model, runtime, state, pid, port, restarts, since, progress }: WorkerRecord): readonly string[] {
  const shown = progress === null ? state : `${state} (${progress})`;
  return [worker_id, model, runtime, shown, String(pid ?? "-"), String(port ?? "-"), String(restarts), since];
}
