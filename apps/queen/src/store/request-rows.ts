import type { RequestRow } from "./store.ts";

/** What a column of a row holds. */
export type RowValue = string | number | null;

/** The columns of the table `requests`, as `pushValues` orders them. */
export const COLUMNS = [
  ...["time", "request_id", "model", "route", "status", "worker_id", "hive_id", "attempts", "queue_ms", "ttft_ms"],
  ...["duration_ms", "error_kind", "prompt_tokens", "completion_tokens"],
];

/** Adds a row's values in the order of COLUMNS. */
export function pushValues(values: RowValue[], time: string, row: RequestRow): void {
  values.push(time, row.request_id, row.model, row.route, row.status, row.worker_id, row.hive_id, row.attempts, row.queue_ms);
  values.push(row.ttft_ms, row.duration_ms, row.error_kind ?? null, row.prompt_tokens ?? null, row.completion_tokens ?? null);
}
