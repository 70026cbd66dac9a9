import type { ErrorKind, HiveId, WorkerId } from "@queen-and-hive/protocol";
import type { UpstreamName } from "../workers/worker-directory.ts";

/** What is kept of a request when it has ended; times in milliseconds. */
export interface RequestRow {
  readonly request_id: string;
  /** The name of the route, such as `chat.completions`. */
  readonly route: string;
  /** The model's id; null when the request named none that exists. */
  readonly model: string | null;
  /** The status that the client saw, or would have seen: 499 when it left before. */
  readonly status: number;
  /** The worker of the last try; null when it never had one. */
  readonly worker_id: WorkerId | UpstreamName | null;
  readonly hive_id: HiveId | null;
  readonly attempts: number;
  /** Waiting for a slot and for the model to load. */
  readonly queue_ms: number;
  /** From arrival to the first byte of the answer; null when there was none. */
  readonly ttft_ms: number | null;
  readonly duration_ms: number;
  readonly error_kind: ErrorKind | null;
  readonly prompt_tokens: number | null;
  readonly completion_tokens: number | null;
}
