import { once } from "node:events";
import { onSignals } from "@queen-and-hive/daemon/basics";
import { HIVE_ENDPOINTS } from "@queen-and-hive/protocol";
import { daemonClient, requireRunning } from "./daemon-client.ts";
import { findState } from "./find-state.ts";
import type { CommandResult } from "./output.ts";
import { queryOf, type WorkerLogsFlags } from "./worker-logs.ts";

/** How long the hive may take to begin its answer, milliseconds. */
const ANSWER_MS = 5_000;

/**
 * `hive worker logs --follow`: the last lines, then what the worker writes as it comes, over its restarts, until it is gone or
 * Ctrl-C; with `--json` one object a line.
 */
export async function followWorkerLogs(
  workerId: string,
  flags: WorkerLogsFlags & { readonly json?: boolean },
): Promise<CommandResult> {
  const paths = findState(flags);
  await using peer = daemonClient(paths, requireRunning(paths), ANSWER_MS);
  const left = new AbortController();
  using _signals = onSignals({ signals: ["SIGINT", "SIGTERM"], handle: () => left.abort() });
  // A reader that left (`| head`) ends it too.
  process.stdout.once("error", () => left.abort());
  const parts = peer.text<typeof HIVE_ENDPOINTS.getWorkerLogs>(HIVE_ENDPOINTS.getWorkerLogs, {
    params: { worker_id: workerId },
    query: { ...queryOf(flags), follow: "true" },
    signal: left.signal,
  });
  const asPrinted = (line: string): string =>
    flags.json === true ? `${JSON.stringify({ worker_id: workerId, line })}\n` : `${line}\n`;
  let unfinished = "";
  try {
    for await (const part of parts) {
      const lines = `${unfinished}${part}`.split("\n");
      unfinished = lines.pop() ?? "";
      if (!process.stdout.write(lines.map(asPrinted).join(""))) await once(process.stdout, "drain", { signal: left.signal });
    }
  } catch (error) {
    if (!left.signal.aborted) throw error;
  }
  if (unfinished !== "") process.stdout.write(asPrinted(unfinished));
  return { json: null, text: null };
}
