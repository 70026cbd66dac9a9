import type { Clock } from "@queen-and-hive/daemon";
import { formatDurationMs, QhError } from "@queen-and-hive/protocol";

/** How long and how many requests may wait for a slot. */
export interface SlotLimits {
  readonly maxWaiting: number;
  readonly maxWaitMs: number;
}

/** A slot in use; disposing of it gives it to the next that waits. */
export interface Lease<Slot> extends Disposable {
  readonly slot: Slot;
}

interface Waiter<Slot> {
  readonly choose: (free: readonly Slot[]) => Slot;
  readonly take: (lease: Lease<Slot>) => void;
}

/** Hands out slots, first come first served. */
export class SlotPool<Slot> {
  readonly #free: Set<Slot>;
  readonly #total: number;
  readonly #waiters = new Set<Waiter<Slot>>();
  readonly #limits: SlotLimits;
  readonly #clock: Clock;

  constructor(slots: readonly Slot[], limits: SlotLimits, clock: Clock) {
    this.#free = new Set(slots);
    this.#total = slots.length;
    this.#limits = limits;
    this.#clock = clock;
  }

  /** Slots in use. */
  get busy(): number {
    return this.#total - this.#free.size;
  }

  /** Requests that wait for a slot. */
  get waiting(): number {
    return this.#waiters.size;
  }

  /**
   * A slot that `choose` picks among the free ones, now or when one becomes free.
   * Throws `queue_full` and `queue_timeout`, and the signal's reason when it is aborted.
   */
  acquire(choose: (free: readonly Slot[]) => Slot, signal: AbortSignal): Promise<Lease<Slot>> {
    if (signal.aborted) return Promise.reject(signal.reason);
    if (this.#free.size > 0) return Promise.resolve(this.#lease(choose));
    if (this.#waiters.size >= this.#limits.maxWaiting) {
      return Promise.reject(
        new QhError(
          "queue_full",
          `cannot take another request: ${this.#waiters.size} wait for ${this.#total} slots already, try again later`,
          {
            retryAfterS: 1,
          },
        ),
      );
    }
    return this.#wait(choose, signal);
  }

  #wait(choose: (free: readonly Slot[]) => Slot, signal: AbortSignal): Promise<Lease<Slot>> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#waiters.delete(waiter);
        timer[Symbol.dispose]();
        signal.removeEventListener("abort", onAbort);
      };
      const waiter: Waiter<Slot> = {
        choose,
        take: (lease) => {
          leave();
          resolve(lease);
        },
      };
      const onAbort = (): void => {
        leave();
        reject(signal.reason);
      };
      const timer = this.#clock.after(this.#limits.maxWaitMs, () => {
        leave();
        const waited = formatDurationMs(this.#limits.maxWaitMs);
        reject(new QhError("queue_timeout", `cannot serve this request: no slot became free within ${waited}, try again later`));
      });
      signal.addEventListener("abort", onAbort, { once: true });
      this.#waiters.add(waiter);
    });
  }

  #lease(choose: (free: readonly Slot[]) => Slot): Lease<Slot> {
    const slot = choose([...this.#free]);
    this.#free.delete(slot);
    let held = true;
    return {
      slot,
      [Symbol.dispose]: () => {
        if (!held) return;
        held = false;
        this.#free.add(slot);
        const [next] = this.#waiters;
        if (next !== undefined) next.take(this.#lease(next.choose));
      },
    };
  }
}
