import { once } from "node:events";
import type { Peer } from "@queen-and-hive/daemon";
import { onSignals } from "@queen-and-hive/daemon/basics";
import { COMMAND_EXIT, QhError, QUEEN_ENDPOINTS } from "@queen-and-hive/protocol";
import type { ConfigSurroundings } from "../config/load.ts";
import type { CommonOptions } from "./program.ts";
import { findQueen, openQueen } from "./queen-client.ts";

/** The flags of `queen logs` and `queen worker logs`. */
export interface LogFlags extends CommonOptions {
  readonly tail?: string;
  readonly follow?: boolean;
}

/** `queen worker logs WORKER`: its last lines; with `--follow` what it writes then, until it is gone or Ctrl-C. */
export async function workerLogs(id: string, flags: LogFlags, around: ConfigSurroundings): Promise<number> {
  await using queen = openQueen(findQueen(flags, around));
  return await printAll(queen, [id], flags);
}

/** `queen logs MODEL`: the same of all workers of a model, each line with its worker's id where there are several. */
export async function modelLogs(model: string, flags: LogFlags, around: ConfigSurroundings): Promise<number> {
  await using queen = openQueen(findQueen(flags, around));
  const { workers } = await queen.call(QUEEN_ENDPOINTS.listWorkers);
  const ids = workers.filter((worker) => worker.model === model).map(({ worker_id }) => worker_id);
  if (ids.length > 0) return await printAll(queen, ids, flags);
  throw new QhError("worker_not_found", `cannot find a worker of the model ${model}; "queen ps" lists those that are there`);
}

async function printAll(queen: Peer, ids: readonly string[], flags: LogFlags): Promise<number> {
  const left = new AbortController();
  using _signals = onSignals({ signals: ["SIGINT", "SIGTERM"], handle: () => left.abort() });
  // A reader that left (`| head`) ends it too.
  process.stdout.once("error", () => left.abort());
  const print = async (id: string, lines: readonly string[]): Promise<void> => {
    const asPrinted = (line: string): string =>
      `${flags.json === true ? JSON.stringify({ worker_id: id, line }) : ids.length > 1 ? `${id}  ${line}` : line}\n`;
    if (!process.stdout.write(lines.map(asPrinted).join(""))) await once(process.stdout, "drain", { signal: left.signal });
  };
  const query = flags.tail === undefined ? {} : { tail: flags.tail };
  try {
    if (flags.follow === true) await Promise.all(ids.map((id) => follow(queen, id, query, left.signal, print)));
    else {
      for (const id of ids) {
        const text = await queen.call(QUEEN_ENDPOINTS.getWorkerLogs, { params: { worker_id: id }, query, signal: left.signal });
        await print(id, String(text).split("\n").slice(0, -1));
      }
    }
  } catch (error) {
    if (!left.signal.aborted) throw error;
  }
  return COMMAND_EXIT.done;
}

async function follow(
  queen: Peer,
  id: string,
  query: { readonly tail?: string },
  signal: AbortSignal,
  print: (id: string, lines: readonly string[]) => Promise<void>,
): Promise<void> {
  const parts = queen.text<typeof QUEEN_ENDPOINTS.getWorkerLogs>(QUEEN_ENDPOINTS.getWorkerLogs, {
    params: { worker_id: id },
    query: { ...query, follow: "true" },
    signal,
  });
  let unfinished = "";
  try {
    for await (const part of parts) {
      const lines = `${unfinished}${part}`.split("\n");
      unfinished = lines.pop() ?? "";
      await print(id, lines);
    }
  } finally {
    if (unfinished !== "") await print(id, [unfinished]);
  }
}
