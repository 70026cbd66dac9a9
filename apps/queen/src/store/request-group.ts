import type { DatabaseSync } from "node:sqlite";
import type { Clock } from "@queen-and-hive/daemon";
import type { RequestRow } from "./store.ts";

/** How long a request row may wait for others before it is written, milliseconds (DESIGN: groups of at most 100 ms). */
const GROUP_MS = 100;
/** A group is written early once it has this many rows. */
const GROUP_ROWS = 500;
/** How many request rows are kept; older ones are removed now and then. */
const REQUESTS_KEPT = 100_000;

/** Gathers the rows of ended requests and writes them in one transaction per group. */
export interface RequestGroup extends Disposable {
  add(row: RequestRow): void;
  flush(): void;
}

/** Makes a group writer on a database whose commits wait for no disk; `onLost` is told of rows that were not taken. */
export function createRequestGroup(options: {
  readonly database: DatabaseSync;
  readonly clock: Clock;
  readonly onLost: (rows: number, error: unknown) => void;
}): RequestGroup {
  const { database, clock } = options;
  const insert = database.prepare(
    `INSERT INTO requests (time, request_id, model, route, status, worker_id, hive_id, attempts, queue_ms, ttft_ms,
       duration_ms, error_kind, prompt_tokens, completion_tokens) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const prune = database.prepare("DELETE FROM requests WHERE number <= (SELECT max(number) FROM requests) - ?");
  let waiting: { readonly time: string; readonly row: RequestRow }[] = [];
  let timer: Disposable | null = null;
  let written = 0;

  const flush = (): void => {
    timer?.[Symbol.dispose]();
    timer = null;
    if (waiting.length === 0) return;
    const group = waiting;
    waiting = [];
    try {
      database.exec("BEGIN IMMEDIATE");
      for (const { time, row } of group) insert.run(time, ...valuesOf(row));
      written += group.length;
      if (written >= GROUP_ROWS) {
        prune.run(REQUESTS_KEPT);
        written = 0;
      }
      database.exec("COMMIT");
    } catch (error) {
      if (database.isTransaction) database.exec("ROLLBACK");
      options.onLost(group.length, error);
    }
  };

  return {
    add(row) {
      waiting.push({ time: new Date(clock.nowMs()).toISOString(), row });
      if (waiting.length >= GROUP_ROWS) flush();
      else timer ??= clock.after(GROUP_MS, flush);
    },
    flush,
    [Symbol.dispose]() {
      timer?.[Symbol.dispose]();
      timer = null;
    },
  };
}

function valuesOf(row: RequestRow): (string | number | null)[] {
  return [
    row.request_id,
    row.model,
    row.route,
    row.status,
    row.worker_id,
    row.hive_id,
    row.attempts,
    row.queue_ms,
    row.ttft_ms,
    row.duration_ms,
    row.error_kind ?? null,
    row.prompt_tokens ?? null,
    row.completion_tokens ?? null,
  ];
}
