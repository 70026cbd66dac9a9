import type { Clock } from "@queen-and-hive/daemon";
import type { Waited } from "../domain/queue.ts";

/** When what happened to one request; all times in milliseconds. */
export class Timeline {
  readonly #clock: Clock;
  readonly #arrivedMs: number;
  #waited: Waited = { slotMs: 0, loadMs: 0 };
  /** Spent in tries that came to nothing, and in the present one until its first byte. */
  #engineMs = 0;
  #sentMs: number | null = null;
  #firstByteMs: number | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#arrivedMs = clock.monotonicMs();
  }

  /** What it has waited for a slot and for a load, in all tries. */
  get waited(): Waited {
    return this.#waited;
  }

  set waited(waited: Waited) {
    this.#waited = waited;
  }

  /** Written to an engine. */
  sent(): void {
    this.#sentMs = this.#clock.monotonicMs();
  }

  /** The first byte of an answer's body has come. */
  firstByte(): void {
    const nowMs = this.#clock.monotonicMs();
    this.#firstByteMs = nowMs;
    if (this.#sentMs !== null) this.#engineMs += nowMs - this.#sentMs;
    this.#sentMs = null;
  }

  /** The try came to nothing. */
  attemptFailed(): void {
    if (this.#sentMs !== null) this.#engineMs += this.#clock.monotonicMs() - this.#sentMs;
    this.#sentMs = null;
    this.#firstByteMs = null;
  }

  /** Since the arrival. */
  get elapsedMs(): number {
    return this.#clock.monotonicMs() - this.#arrivedMs;
  }

  /** From the arrival to the first byte of the answer, or null. */
  get toFirstByteMs(): number | null {
    return this.#firstByteMs === null ? null : this.#firstByteMs - this.#arrivedMs;
  }

  /** Our own part of the time to the first byte: what was neither waiting nor the engine's; null before it. */
  get overheadMs(): number | null {
    const { toFirstByteMs, waited } = this;
    return toFirstByteMs === null ? null : Math.max(0, toFirstByteMs - waited.slotMs - waited.loadMs - this.#engineMs);
  }

  /** The value of a `server-timing` header (W3C Server Timing; durations in milliseconds). */
  get serverTiming(): string {
    const waited = `queue;dur=${tenths(this.#waited.slotMs)}, load;dur=${tenths(this.#waited.loadMs)}`;
    const { overheadMs } = this;
    if (overheadMs === null) return waited;
    return `${waited}, upstream;dur=${tenths(this.#engineMs)}, queen;dur=${tenths(overheadMs)}`;
  }

  /** What an answer that begins now says of its way here: headers, and the same as a comment of a stream. */
  ourHeaders(attempts: number): { readonly headers: Readonly<Record<string, string>>; readonly comment: string } {
    const { slotMs, loadMs } = this.#waited;
    return {
      headers: { "server-timing": this.serverTiming },
      comment: `queen attempts=${attempts} queue_ms=${Math.round(slotMs)} load_ms=${Math.round(loadMs)}`,
    };
  }
}

/** `toFixed` takes ten times as long. */
function tenths(ms: number): number {
  return Math.round(ms * 10) / 10;
}
