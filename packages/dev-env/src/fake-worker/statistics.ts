/** A request as the fake worker saw it. */
export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The parsed JSON body, the text where it was not JSON, null where there was none. */
  readonly body: unknown;
}

/** The answer of one attempt to deliver the ready callback: a status, or the transport's error. */
export interface CallbackAttempt {
  readonly status: number | null;
  readonly answer: unknown;
}

/** `GET /stats`. Inference requests only, `/health` being counted apart; `last` are the newest, oldest first. */
export interface FakeWorkerStats {
  readonly worker_id: string;
  readonly pid: number;
  readonly ready: boolean;
  readonly started: number;
  readonly finished: number;
  readonly cancelled: number;
  readonly failed: number;
  readonly open_now: number;
  readonly open_at_most: number;
  readonly tokens_sent: number;
  readonly health_requests: number;
  readonly callbacks: readonly CallbackAttempt[];
  readonly last: readonly SeenRequest[];
}

/** How an inference request ended. */
export type Ending = "finished" | "cancelled" | "failed";

const KEPT_REQUESTS = 50;

/** Counts what a fake worker does, for tests to ask. */
export class Statistics {
  ready = false;
  tokensSent = 0;
  healthRequests = 0;
  readonly callbacks: CallbackAttempt[] = [];
  readonly #endings: Record<Ending, number> = { finished: 0, cancelled: 0, failed: 0 };
  readonly #last: SeenRequest[] = [];
  #started = 0;
  #openNow = 0;
  #openAtMost = 0;

  /** Call once when an inference request has arrived; the result once when it has ended. */
  begin(request: SeenRequest): (ending: Ending) => void {
    this.#started += 1;
    this.#openNow += 1;
    this.#openAtMost = Math.max(this.#openAtMost, this.#openNow);
    this.#last.push(request);
    if (this.#last.length > KEPT_REQUESTS) this.#last.shift();
    return (ending) => {
      this.#openNow -= 1;
      this.#endings[ending] += 1;
    };
  }

  /** The present counts. */
  read(workerId: string, pid: number): FakeWorkerStats {
    return {
      worker_id: workerId,
      pid,
      ready: this.ready,
      started: this.#started,
      ...this.#endings,
      open_now: this.#openNow,
      open_at_most: this.#openAtMost,
      tokens_sent: this.tokensSent,
      health_requests: this.healthRequests,
      callbacks: this.callbacks,
      last: this.#last,
    };
  }
}
