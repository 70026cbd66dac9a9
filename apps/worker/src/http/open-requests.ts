/** The requests that are being served: how many there are, when the last has ended, and how to end them all. */
export class OpenRequests {
  readonly #ending = new AbortController();
  readonly #idleListeners = new Set<() => void>();
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** Runs one request; its signal is aborted when the client leaves or when all requests are ended. */
  async run<T>(clientSignal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    this.#count += 1;
    try {
      return await work(AbortSignal.any([clientSignal, this.#ending.signal]));
    } finally {
      this.#count -= 1;
      if (this.#count === 0) for (const tell of this.#idleListeners) tell();
    }
  }

  /** Aborts all requests with `reason`, which each of them tells its client. */
  endAll(reason: Error): void {
    this.#ending.abort(reason);
  }

  /** Resolves once no request is open, or when the signal is aborted. */
  whenIdle(signal: AbortSignal): Promise<void> {
    if (this.#count === 0 || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        this.#idleListeners.delete(done);
        signal.removeEventListener("abort", done);
        resolve();
      };
      this.#idleListeners.add(done);
      signal.addEventListener("abort", done, { once: true });
    });
  }
}
