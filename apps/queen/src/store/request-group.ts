import type { DatabaseSync, SQLInputValue } from "node:sqlite";
import type { Clock } from "@queen-and-hive/daemon";
import type { RequestRow } from "./store.ts";

/** How long a request row may wait for others before it is written, milliseconds (DESIGN: groups of at most 100 ms). */
const GROUP_MS = 100;
/** A group is written early once it has this many rows. */
const GROUP_ROWS = 500;
/** So many rows go into one INSERT, which costs fewer calls than one each; more at once make it no cheaper. */
const INSERT_ROWS = 16;
/** How many request rows are kept; older ones are removed now and then. */
const REQUESTS_KEPT = 100_000;

const COLUMNS = [
  ...["time", "request_id", "model", "route", "status", "worker_id", "hive_id", "attempts", "queue_ms", "ttft_ms"],
  ...["duration_ms", "error_kind", "prompt_tokens", "completion_tokens"],
];

const MANY_VALUES = INSERT_ROWS * COLUMNS.length;

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
  const insertMany = database.prepare(insertOf(INSERT_ROWS));
  const insertOne = database.prepare(insertOf(1));
  const prune = database.prepare("DELETE FROM requests WHERE number <= (SELECT max(number) FROM requests) - ?");
  const timeText = isoTimes();
  /** The rows' values one behind the other, so that a request that is over leaves nothing else behind. */
  let waiting: SQLInputValue[] = [];
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
      let at = 0;
      for (; at + MANY_VALUES <= group.length; at += MANY_VALUES) insertMany.run(...group.slice(at, at + MANY_VALUES));
      for (; at < group.length; at += COLUMNS.length) insertOne.run(...group.slice(at, at + COLUMNS.length));
      written += group.length / COLUMNS.length;
      if (written >= GROUP_ROWS) {
        prune.run(REQUESTS_KEPT);
        written = 0;
      }
      database.exec("COMMIT");
    } catch (error) {
      if (database.isTransaction) database.exec("ROLLBACK");
      options.onLost(group.length / COLUMNS.length, error);
    }
  };

  return {
    add(row) {
      pushValues(waiting, timeText(clock.nowMs()), row);
      if (waiting.length >= GROUP_ROWS * COLUMNS.length) flush();
      else timer ??= clock.after(GROUP_MS, flush);
    },
    flush,
    [Symbol.dispose]() {
      timer?.[Symbol.dispose]();
      timer = null;
    },
  };
}

function insertOf(rows: number): string {
  const row = `(${COLUMNS.map(() => "?").join(", ")})`;
  return `INSERT INTO requests (${COLUMNS.join(", ")}) VALUES ${Array.from({ length: rows }, () => row).join(", ")}`;
}

/** Adds a row's values in the order of COLUMNS. */
function pushValues(values: SQLInputValue[], time: string, row: RequestRow): void {
  values.push(time, row.request_id, row.model, row.route, row.status, row.worker_id, row.hive_id, row.attempts, row.queue_ms);
  values.push(row.ttft_ms, row.duration_ms, row.error_kind ?? null, row.prompt_tokens ?? null, row.completion_tokens ?? null);
}

/** Unix milliseconds -> ISO 8601. The text of a second is kept for the next row: `toISOString` takes microseconds. */
function isoTimes(): (atMs: number) => string {
  let second = Number.NaN;
  let prefix = "";
  return (atMs) => {
    const wholeMs = Math.floor(atMs);
    const milliseconds = wholeMs % 1_000;
    if (wholeMs - milliseconds !== second) {
      second = wholeMs - milliseconds;
      prefix = new Date(second).toISOString().slice(0, -"000Z".length);
    }
    return `${prefix}${String(milliseconds).padStart(3, "0")}Z`;
  };
}
