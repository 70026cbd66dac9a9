import type { MessagePort } from "node:worker_threads";
import type { RowValue } from "./request-rows.ts";

/** What the thread that writes request rows is given. */
export interface RequestThreadData {
  /** The database file. */
  readonly path: string;
  /** Brings the jobs; takes what was lost. */
  readonly port: MessagePort;
  /** At DONE how many jobs are over; at PHASE which phase it is. */
  readonly state: Int32Array<SharedArrayBuffer>;
}

export const DONE = 0;
export const PHASE = 1;

/** Rows are written, or may be. */
export const OPEN = 0;
/** Those of a job are being committed: they count as written. */
export const COMMITTING = 1;
/** What is not written is told to be lost, and stays so. */
export const GIVEN_UP = 2;

/** Rows to write, their values one behind the other; or what else there is to do. */
export type RequestJob = readonly RowValue[] | "checkpoint" | "end";

/** Rows that the database did not take. */
export interface RowsLost {
  readonly rows: number;
  readonly error: unknown;
}
