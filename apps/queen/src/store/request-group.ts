import type { Clock } from "@queen-and-hive/daemon";
import { COLUMNS, pushValues, type RowValue } from "./request-rows.ts";
import { RequestWriter } from "./request-writer.ts";
import type { RequestRow } from "./store.ts";

/** How long a request row may wait for others before it is handed over, milliseconds (DESIGN: groups of at most 100 ms). */
const GROUP_MS = 100;
/** A group is handed over early once it has this many rows. */
const GROUP_ROWS = 500;

/** Gathers the rows of ended requests; each group is written in one transaction, by a thread of its own. */
export interface RequestGroup extends Disposable {
  add(row: RequestRow): void;
  /** Returns when all rows so far are written or lost, or after 5 s. */
  flush(): void;
  /** Has the write-ahead log copied into the database, whoever has written it. */
  checkpoint(): void;
}

/** Makes a group for the database at `path`; `onLost` is told of rows that were not taken. */
export function createRequestGroup(options: {
  readonly path: string;
  readonly clock: Clock;
  readonly onLost: (rows: number, error: unknown) => void;
}): RequestGroup {
  const { clock } = options;
  const writer = new RequestWriter(options.path, options.onLost);
  const timeText = isoTimes();
  /** The rows' values one behind the other, so that a request that is over leaves nothing else behind. */
  let waiting: RowValue[] = [];
  let timer: Disposable | null = null;

  const handOver = (): void => {
    timer?.[Symbol.dispose]();
    timer = null;
    if (waiting.length === 0) return;
    const group = waiting;
    waiting = [];
    writer.write(group);
  };
  const flush = (): void => {
    handOver();
    writer.settle();
  };

  return {
    add(row) {
      pushValues(waiting, timeText(clock.nowMs()), row);
      if (waiting.length >= GROUP_ROWS * COLUMNS.length) handOver();
      else timer ??= clock.after(GROUP_MS, handOver);
    },
    flush,
    checkpoint: () => writer.checkpoint(),
    [Symbol.dispose]() {
      handOver();
      writer[Symbol.dispose]();
    },
  };
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
