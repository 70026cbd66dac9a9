import { type BackoffPolicy, backoffMs, type Clock } from "@queen-and-hive/daemon";
import { unreachable } from "@queen-and-hive/protocol";
import type { DeliveryOutcome } from "./delivery-outcome.ts";
import type { OutboxEntry } from "./outbox-entry.ts";

/** What becomes of a message after a try: gone for the said reason, or kept for another try. */
export type Verdict = "delivered" | "stale" | "set_aside" | "unwelcome" | "retried";

/** What a lane needs of the outbox. */
export interface LaneSurroundings {
  readonly clock: Clock;
  readonly backoff: BackoffPolicy;
  readonly random: () => number;
  /** False while nobody is there to take the message: it waits for `wake`. */
  isDeliverable(entry: OutboxEntry): boolean;
  /** One try; never rejects. */
  deliver(entry: OutboxEntry, attempt: number): Promise<DeliveryOutcome>;
  /** Hears the outcome of every try. */
  judged(entry: OutboxEntry, verdict: Verdict, outcome: DeliveryOutcome): void;
}

/** After so many refusals (4xx that no rule names) a message is set aside. */
const REFUSALS_MAX = 5;

/** The messages of one worker, delivered one after the other: each is over before the next is tried. */
export class DeliveryLane {
  readonly #around: LaneSurroundings;
  #queue: OutboxEntry[] = [];
  #running = false;
  #closed = false;
  #failures = 0;
  #pause = new AbortController();
  /** Tries of the message at the head, and how many of them were refused. */
  #tries = { sequence: -1, attempts: 0, refusals: 0 };
  #settled: PromiseWithResolvers<void> | null = null;

  constructor(around: LaneSurroundings) {
    this.#around = around;
  }

  /** Adds a message behind the others. */
  push(entry: OutboxEntry): void {
    this.#queue.push(entry);
    this.#start();
  }

  /** How many messages wait. */
  get length(): number {
    return this.#queue.length;
  }

  /** Drops all but the newest message and returns what was dropped. */
  keepNewest(): readonly OutboxEntry[] {
    const dropped = this.#queue.slice(0, -1);
    this.#queue = this.#queue.slice(-1);
    return dropped;
  }

  /** Tries again at once, with a fresh back-off: the queen has moved or is back. */
  wake(): void {
    this.#failures = 0;
    this.#pause.abort();
  }

  /** Tries at once; resolves when the lane is empty, or when the queen could not be reached. */
  async flush(): Promise<void> {
    if (this.#queue.length === 0 || this.#closed) return;
    this.#settled ??= Promise.withResolvers<void>();
    this.wake();
    await this.#settled.promise;
  }

  /** Tries no more. */
  close(): void {
    this.#closed = true;
    this.#pause.abort();
    this.#settle();
  }

  #start(): void {
    if (this.#running || this.#closed) return;
    this.#running = true;
    void this.#run().finally(() => {
      this.#running = false;
      if (this.#queue.length > 0) this.#start();
    });
  }

  async #run(): Promise<void> {
    for (let entry = this.#queue[0]; entry !== undefined && !this.#closed; entry = this.#queue[0]) {
      if (!this.#around.isDeliverable(entry)) {
        this.#settle();
        await this.#wait(Number.POSITIVE_INFINITY);
        continue;
      }
      const isOver = await this.#try(entry);
      if (!isOver && !this.#closed) {
        this.#settle();
        await this.#wait(backoffMs(this.#failures - 1, this.#around.backoff, this.#around.random));
      }
    }
    this.#settle();
  }

  async #try(entry: OutboxEntry): Promise<boolean> {
    if (this.#tries.sequence !== entry.sequence) this.#tries = { sequence: entry.sequence, attempts: 0, refusals: 0 };
    this.#tries.attempts += 1;
    // A pause begun by an earlier failure must not end the next one: whoever wakes us during this try means that one.
    this.#pause = new AbortController();
    const outcome = await this.#around.deliver(entry, this.#tries.attempts);
    if (this.#closed) return false;
    const verdict = this.#judge(outcome);
    const isOver = verdict === "delivered" || verdict === "stale" || verdict === "set_aside";
    if (isOver) {
      this.#queue = this.#queue.filter(({ sequence }) => sequence !== entry.sequence);
      this.#failures = 0;
    } else {
      this.#failures += 1;
    }
    this.#around.judged(entry, verdict, outcome);
    return isOver;
  }

  #judge(outcome: DeliveryOutcome): Verdict {
    switch (outcome.kind) {
      case "delivered":
      case "stale":
      case "unwelcome":
        return outcome.kind;
      case "failed":
        return "retried";
      case "refused":
        this.#tries.refusals += 1;
        return this.#tries.refusals >= REFUSALS_MAX ? "set_aside" : "retried";
      default:
        return unreachable(outcome);
    }
  }

  async #wait(ms: number): Promise<void> {
    const pause = this.#pause;
    try {
      await this.#around.clock.sleep(ms, pause.signal);
    } catch (error) {
      if (!pause.signal.aborted) throw error;
    }
    if (this.#pause === pause) this.#pause = new AbortController();
  }

  #settle(): void {
    this.#settled?.resolve();
    this.#settled = null;
  }
}
