import { backoffMs, type Clock, Deadline } from "@queen-and-hive/daemon";
import { QhError } from "@queen-and-hive/protocol";
import type { SshConnection } from "./ssh-connection.ts";

/** How a kept connection is opened. */
export interface KeptConnectionParts {
  readonly name: string;
  /** How long the attempt to connect may take that all who wait for it share, milliseconds. */
  readonly openMs: number;
  /** Attempts that fail are so far apart at least; whoever asks in between hears of the last failure. */
  readonly pauses: { readonly firstMs: number; readonly maxMs: number };
  open(deadline: Deadline, signal: AbortSignal): Promise<SshConnection>;
  readonly clock: Clock;
  readonly random: () => number;
}

/** How the pauses between attempts grow. */
const GROWTH = { factor: 2, jitter: 0.2 };

/** One connection to a host that is opened when it is needed, shared by all who need it, and opened anew after its end. */
export class KeptConnection implements Disposable {
  readonly #parts: KeptConnectionParts;
  readonly #closed = new AbortController();
  #open: SshConnection | null = null;
  #opening: Promise<SshConnection> | null = null;
  #failures = 0;
  #failed: { readonly error: unknown; readonly untilMs: number } | null = null;

  constructor(parts: KeptConnectionParts) {
    this.#parts = parts;
  }

  /** The connection. Throws what opening it throws, `deadline_exceeded`, the signal's reason. */
  async get(deadline: Deadline, given?: AbortSignal): Promise<SshConnection> {
    this.#closed.signal.throwIfAborted();
    if (this.#open !== null && !this.#open.ended.aborted) return this.#open;
    if (this.#failed !== null && this.#parts.clock.monotonicMs() < this.#failed.untilMs) throw this.#failed.error;
    this.#opening ??= this.#connect();
    using signal = deadline.signal(given);
    return await waitFor(this.#opening, signal);
  }

  /** Ends the connection; it is not opened again. */
  [Symbol.dispose](): void {
    this.#closed.abort(new QhError("shutting_down", `cannot use ${this.#parts.name}: its connection was closed by us`));
    this.#open?.close();
  }

  async #connect(): Promise<SshConnection> {
    const { open, openMs, pauses, clock, random } = this.#parts;
    try {
      const connection = await open(Deadline.in(openMs, clock), this.#closed.signal);
      this.#failures = 0;
      this.#failed = null;
      this.#open = connection;
      return connection;
    } catch (error) {
      this.#failed = { error, untilMs: clock.monotonicMs() + backoffMs(this.#failures, { ...GROWTH, ...pauses }, random) };
      this.#failures += 1;
      throw error;
    } finally {
      this.#opening = null;
    }
  }
}

/** The first of an outcome and the signal's end; the outcome is then left to others. */
function waitFor<T>(outcome: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason);
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
    outcome.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
