/** One place publishes, any number listen: in the order of subscription, at once, and one listener's fault stays its own. */
export class Broadcast<T> {
  readonly #listeners = new Set<(value: T) => void>();
  readonly #onError: (error: unknown) => void;

  /** `onError` hears what a listener throws; without one it becomes an uncaught exception, since it is a bug. */
  constructor(onError: (error: unknown) => void = throwLater) {
    this.#onError = onError;
  }

  /** Calls `listener` for everything published from now on, until the result is disposed. */
  subscribe(listener: (value: T) => void): Disposable {
    // A wrapper of its own, so that subscribing one function twice means two calls and two ends.
    const own = (value: T): void => listener(value);
    this.#listeners.add(own);
    return { [Symbol.dispose]: () => void this.#listeners.delete(own) };
  }

  /** Hands a value to every listener of this moment. */
  publish(value: T): void {
    for (const listener of [...this.#listeners]) {
      if (!this.#listeners.has(listener)) continue;
      try {
        listener(value);
      } catch (error) {
        this.#onError(error);
      }
    }
  }

  /** How many listen. */
  get size(): number {
    return this.#listeners.size;
  }
}

function throwLater(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
