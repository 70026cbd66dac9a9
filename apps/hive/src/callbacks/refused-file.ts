import { appendFileSync } from "node:fs";
import type { Clock, Log } from "@queen-and-hive/daemon";
import type { OutboxEntry } from "./outbox-entry.ts";

/** Messages that the queen refused for good, kept for a person to look at: one JSON object a line. */
export class RefusedFile {
  readonly #path: string;
  readonly #clock: Clock;

  constructor(path: string, clock: Clock) {
    this.#path = path;
    this.#clock = clock;
  }

  /** Keeps a message with the reason. It is lost for the queen either way, so a full disk is only logged. */
  append(entry: OutboxEntry, reason: string, log: Log): void {
    try {
      const line = JSON.stringify({ time: new Date(this.#clock.nowMs()).toISOString(), reason, entry });
      appendFileSync(this.#path, `${line}\n`, { mode: 0o600 });
    } catch (error) {
      log.error("cannot keep a refused message", { error, sequence: entry.sequence });
    }
  }
}
