import type { Deadline, Metrics } from "@queen-and-hive/daemon";
import type { Capabilities, HiveIdentity, HiveShutdown, HiveShutdownAnswer } from "@queen-and-hive/protocol";
import type { Ownership } from "../store/ownership.ts";
import type { Supervision } from "../workers/supervision.ts";
import type { EventStreams } from "./event-streams.ts";

/** What the handlers work with. */
export interface HiveParts {
  readonly supervision: Supervision;
  readonly ownership: Ownership;
  readonly events: EventStreams;
  readonly metrics: Metrics;
  /** How long the stop of one worker may take, in milliseconds. */
  readonly stopWorkerMs: number;
  /** How many lines of a worker's output are answered when nothing else is asked for. */
  readonly logTailLines: number;
  identity(): HiveIdentity;
  /** The SHA-256 of what `hive start` has kept; null when the hive cannot say. */
  keptStart(): string | null;
  status(): "ok" | "stopping";
  capabilities(): Promise<Capabilities>;
  deadlineIn(ms: number): Deadline;
  /** Stops the workers or keeps them; a second call joins the first. The daemon still runs afterwards. */
  shutDown(workers: HiveShutdown["workers"], deadline: Deadline): Promise<HiveShutdownAnswer>;
  /** Ends the daemon: the answer to the shutdown is out. */
  end(): void;
}

/** Who calls a hive. */
export type HiveCaller =
  | { readonly kind: "anyone" }
  /** Has shown the hive's token. */
  | { readonly kind: "queen" }
  /** Says to be a worker; the token is judged with the worker that it names. */
  | { readonly kind: "worker"; readonly token: string | null };
