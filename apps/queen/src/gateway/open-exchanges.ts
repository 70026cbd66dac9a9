import { type Deadline, LinkedList } from "@queen-and-hive/daemon";
import type { Exchange } from "./exchange.ts";

/** The requests that have arrived and not ended. */
export class OpenExchanges {
  readonly #open = new LinkedList<Exchange>();
  #whenEmpty: (() => void)[] = [];

  /** Notes a request; the result forgets it. */
  enter(exchange: Exchange): () => void {
    const entry = this.#open.add(exchange);
    return () => {
      entry[Symbol.dispose]();
      if (this.#open.size > 0) return;
      const waiters = this.#whenEmpty;
      this.#whenEmpty = [];
      for (const waiter of waiters) waiter();
    };
  }

  get size(): number {
    return this.#open.size;
  }

  [Symbol.iterator](): IterableIterator<Exchange> {
    return this.#open.values().values();
  }

  /** Resolves when none is open. */
  empty(): Promise<void> {
    if (this.#open.size === 0) return Promise.resolve();
    return new Promise((resolve) => void this.#whenEmpty.push(resolve));
  }

  /** Resolves when none is open, or at the deadline. */
  async emptyBy(deadline: Deadline): Promise<void> {
    using signal = deadline.signal();
    if (signal.aborted) return;
    const late = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    await Promise.race([this.empty(), late]);
  }
}
