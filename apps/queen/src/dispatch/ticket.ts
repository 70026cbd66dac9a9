import type { CancelSignal } from "@queen-and-hive/daemon";
import type { QhError } from "@queen-and-hive/protocol";
import type { Waited, WaitMode } from "../domain/queue.ts";
import type { ReadyWorker } from "../workers/worker-directory.ts";

/** Its turn in the queue: kept when a request is tried again, so that it loses neither its place nor its age. */
export interface QueuePlace {
  readonly sequence: number;
  /** What it has waited so far, in all its tries. */
  readonly waited: Waited;
}

/** A slot of a worker, taken for one try of a request. */
export interface Lease {
  readonly worker: ReadyWorker;
  readonly place: QueuePlace;
  /** When the event came that let this request go on (monotonic milliseconds); null when it did not wait for one. */
  readonly resumedAtMs: number | null;
  /** Gives the slot back; works once. `servedMs` feeds the advice on when to come back, null when nothing was served. */
  release(servedMs: number | null): void;
}

/** Where a waiting request stands. */
export interface QueueOutlook {
  /** 1 is next. */
  readonly position: number;
  readonly waitsFor: WaitMode;
  /** From what requests took lately; null while that, or how long a load takes, is not known. */
  readonly estimateMs: number | null;
}

/** What a request asks of the queue of its model. */
export interface LeaseRequest {
  /** Whose request it is: the slots of a model are shared fairly between clients. */
  readonly client: string;
  /** What its conversation is known by, or null; asked only where there is a choice between workers. */
  readonly session: () => number | null;
  /** Incarnations (`incarnationKey`) that have failed this request. */
  readonly excluded: ReadonlySet<string>;
  /** From its earlier try, or null. */
  readonly place: QueuePlace | null;
  /** What is said when only excluded workers are left and no other comes; null on the first try. */
  readonly lastError: QhError | null;
  /** Aborted with a QhError when the request has ended otherwise; it leaves the queue at once. */
  readonly signal: CancelSignal;
  /** Told when it has to wait; `outlook` says where it stands whenever it is asked, null once it waits no more. */
  readonly onQueued?: (outlook: () => QueueOutlook | null) => void;
}

/** A request in the queue. */
export interface Ticket {
  readonly sequence: number;
  readonly client: string;
  readonly session: () => number | null;
  readonly excluded: ReadonlySet<string>;
  readonly lastError: QhError | null;
  /** What the queue's clocks showed when it came, less what it had waited before. */
  readonly entry: Waited;
  readonly grant: (lease: Lease) => void;
  readonly refuse: (error: QhError) => void;
}
