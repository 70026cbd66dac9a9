import type { Log } from "./log.ts";

/** What a mailbox needs to know. */
export interface MailboxOptions<Event> {
  /** For the log: whose events these are. */
  readonly name: string;
  readonly handle: (event: Event) => void | Promise<void>;
  /** How many events may wait. */
  readonly lengthMax?: number;
  readonly log: Log;
  /** Hears what `handle` throws, beside the log. */
  readonly onError?: (error: unknown, event: Event) => void;
}

/** How many events may wait in a mailbox when nothing else is said. */
export const MAILBOX_LENGTH_MAX = 10_000;

/** One writer: takes events from anywhere and handles them one at a time, in the order of posting. */
export class Mailbox<Event> {
  readonly #options: MailboxOptions<Event>;
  readonly #lengthMax: number;
  readonly #waiting: Event[] = [];
  #running: Promise<void> | null = null;
  #closed = false;

  constructor(options: MailboxOptions<Event>) {
    this.#options = options;
    this.#lengthMax = options.lengthMax ?? MAILBOX_LENGTH_MAX;
  }

  /** Takes an event and returns before it is handled; false (and an error in the log) when full, false when closed. */
  post(event: Event): boolean {
    if (this.#closed) return false;
    if (this.#waiting.length >= this.#lengthMax) {
      this.#options.log.error(`cannot post to the mailbox ${this.#options.name}: ${this.#lengthMax} events wait already`);
      return false;
    }
    this.#waiting.push(event);
    this.#running ??= this.#run();
    return true;
  }

  /** How many events wait, without the one being handled. */
  get length(): number {
    return this.#waiting.length;
  }

  /** Resolves once every event posted so far, and every event posted meanwhile, has been handled. */
  async drained(): Promise<void> {
    while (this.#running !== null) await this.#running;
  }

  /** Takes no more events; those that wait are still handled (see `drained`). */
  close(): void {
    this.#closed = true;
  }

  async #run(): Promise<void> {
    // The poster's own stack ends first, so that handling never happens inside of `post`.
    await Promise.resolve();
    // Cut one by one, so that what still waits counts towards the limit.
    while (this.#waiting.length > 0) {
      for (const event of this.#waiting.splice(0, 1)) await this.#handle(event);
    }
    this.#running = null;
  }

  async #handle(event: Event): Promise<void> {
    try {
      await this.#options.handle(event);
    } catch (error) {
      this.#options.log.error(`cannot handle an event of ${this.#options.name}`, { error });
      this.#options.onError?.(error, event);
    }
  }
}
