import type { CancelSignal } from "@queen-and-hive/daemon";
import type { QhError } from "@queen-and-hive/protocol";
import type { Lease, QueueOutlook, QueuePlace } from "../dispatch/ticket.ts";
import { incarnationKey } from "../dispatch/worker-occupancy.ts";
import type { ReadyWorker, TrafficOutcome } from "../workers/worker-directory.ts";
import { conversationOf } from "./conversation.ts";
import type { ExchangeRequest, ExchangeSurroundings } from "./exchange-parts.ts";
import type { InferenceRequest } from "./inference-request.ts";

/** The tries of one request, within its budget: on which workers, and which of them are not asked again. */
export class Tries {
  readonly #around: ExchangeSurroundings;
  readonly #given: ExchangeRequest;
  readonly #excluded = new Set<string>();
  #place: QueuePlace | null = null;
  #worker: ReadyWorker | null = null;
  #isPlaced = false;
  #count = 0;
  #countMax: number;
  #outlook: (() => QueueOutlook | null) | null = null;

  constructor(around: ExchangeSurroundings, given: ExchangeRequest) {
    this.#around = around;
    this.#given = given;
    this.#countMax = around.retry.attempts;
  }

  /** How many there were. */
  get count(): number {
    return this.#count;
  }

  /** The worker of the present or the last one; null before the first. */
  get worker(): ReadyWorker | null {
    return this.#worker;
  }

  /** A worker has the request now. */
  get isPlaced(): boolean {
    return this.#isPlaced;
  }

  /** Where it stands in the queue, as the words of a comment; empty while it waits for nothing. */
  get outlook(): string {
    const outlook = this.#outlook?.() ?? null;
    if (outlook === null) return "";
    const { position, waitsFor, estimateMs } = outlook;
    const estimate = estimateMs === null ? "" : ` estimate_ms=${Math.round(estimateMs)}`;
    return `position=${position} waits_for=${waitsFor}${estimate}`;
  }

  /** A slot for the next try. `lastError` is what it has to do better than. Rejects as `ModelQueue.lease` does. */
  async next(inference: InferenceRequest, lastError: QhError | null, signal: CancelSignal): Promise<Lease> {
    const { dispatcher, metrics } = this.#around;
    this.#isPlaced = false;
    const lease = await dispatcher.lease(inference.modelId, {
      client: this.#given.client,
      session: () => conversationOf(this.#given.request, this.#given.route, inference.chunks),
      excluded: this.#excluded,
      place: this.#place,
      lastError,
      signal,
      onQueued: (outlook) => {
        this.#outlook = outlook;
      },
    });
    this.#outlook = null;
    if (this.#place === null) metrics.waited(lease.place.waited);
    this.#place = lease.place;
    this.#worker = lease.worker;
    this.#isPlaced = true;
    this.#count += 1;
    return lease;
  }

  /** The budget allows one more. */
  get mayGoOn(): boolean {
    return this.#count < this.#countMax;
  }

  /** The worker has failed the present try. After a time-out there is one more at most: the limits for waiting are long. */
  failed(traffic: TrafficOutcome, error: QhError): void {
    const { directory, log } = this.#around;
    const worker = this.#worker;
    if (worker === null) return;
    if (traffic === "timeout") this.#countMax = Math.min(this.#countMax, this.#count + 1);
    directory.report(worker, traffic);
    log.warn("a worker has failed a request", {
      request_id: this.#given.requestId,
      worker_id: worker.workerId,
      hive_id: worker.hiveId,
      attempt: this.#count,
      traffic,
      error,
    });
  }

  /** The worker of the last try is not asked again. */
  exclude(worker: ReadyWorker): void {
    this.#excluded.add(incarnationKey(worker));
  }

  /** A worker that has not failed this request, and is not this one, could serve it now. */
  hasAnother(modelId: string, worker: ReadyWorker): boolean {
    const failed = incarnationKey(worker);
    return this.#around.directory.ready(modelId).some((other) => {
      const key = incarnationKey(other);
      return key !== failed && !this.#excluded.has(key);
    });
  }
}
