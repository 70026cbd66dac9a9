import type { Deadline } from "@queen-and-hive/daemon";
import type { EndedHow } from "../process/end-processes.ts";

/** How a stop ended, and the process that was there when it began. */
export interface StopOutcome {
  readonly how: EndedHow;
  readonly pid: number | null;
}

/** The stop of one worker that somebody waits for. Later callers join the first, and the earliest deadline counts. */
export class PendingStop {
  #deadline: Deadline | null = null;
  #pid: number | null = null;
  #how: EndedHow = "already_gone";
  #waiting: PromiseWithResolvers<StopOutcome> | null = null;

  /** Whether somebody waits for the worker's end. */
  get isWanted(): boolean {
    return this.#waiting !== null;
  }

  /** The earliest deadline of those who wait; null without one. */
  get deadline(): Deadline | null {
    return this.#deadline;
  }

  /** Waits for the end. Rejects with what `fail` is given. */
  join(deadline: Deadline): Promise<StopOutcome> {
    this.#deadline = this.#deadline === null ? deadline : this.#deadline.min(deadline);
    this.#waiting ??= Promise.withResolvers<StopOutcome>();
    return this.#waiting.promise;
  }

  /** Notes the process that is being ended; the first one counts. */
  begin(pid: number | null): void {
    this.#pid ??= pid;
  }

  /** Notes how the last process ended. */
  ended(how: EndedHow): void {
    this.#how = how;
  }

  /** Tells everybody who waits that the worker is gone. */
  succeed(): void {
    this.#waiting?.resolve({ how: this.#how, pid: this.#pid });
  }

  /** Tells everybody who waits why it could not be ended; the next stop begins anew. */
  fail(error: unknown): void {
    this.#waiting?.reject(error);
    this.#waiting = null;
    this.#deadline = null;
  }
}
