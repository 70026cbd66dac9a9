import type { Clock, Log, ProcessIdentity } from "@queen-and-hive/daemon";
import pidusage from "pidusage";

/** What one process uses: CPU time per time (1 is one core) and resident memory. */
export interface ProcessUse {
  readonly cpuRatio: number;
  readonly residentBytes: number;
}

/** What a sampler needs. */
export interface SamplerOptions {
  readonly everyMs: number;
  /** The live processes of this moment; an identity whose process has ended must not be among them. */
  readonly processes: () => readonly ProcessIdentity[];
  /** Called at each round, before the processes are measured; for what else is done at this pace. */
  readonly onRound?: () => void;
  readonly clock: Clock;
  readonly log: Log;
}

/** Measures processes at a steady pace. Failing to measure one is never an error of anybody else. */
export class Sampler implements Disposable {
  readonly #options: SamplerOptions;
  readonly #latest = new Map<string, ProcessUse>();
  /** Pids that pidusage could not read, and until when they are left alone so that it drops its descriptor of them. */
  readonly #resting = new Map<number, number>();
  #timer: Disposable | null = null;
  #isDisposed = false;

  constructor(options: SamplerOptions) {
    this.#options = options;
  }

  /** Begins; the first round comes after one pause. */
  start(): void {
    if (this.#isDisposed) return;
    this.#timer = this.#options.clock.after(this.#options.everyMs, () => void this.#round().finally(() => this.start()));
  }

  /** The latest measurement of exactly this process; null before the first. */
  latest(identity: ProcessIdentity): ProcessUse | null {
    return this.#latest.get(keyOf(identity)) ?? null;
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#timer?.[Symbol.dispose]();
  }

  async #round(): Promise<void> {
    try {
      this.#options.onRound?.();
      const live = this.#options.processes();
      await Promise.all(live.map((identity) => this.#measure(identity)));
      const keys = new Set(live.map(keyOf));
      for (const key of this.#latest.keys()) if (!keys.has(key)) this.#latest.delete(key);
    } catch (error) {
      this.#options.log.warn("cannot measure the workers' processes", { error });
    }
  }

  async #measure(identity: ProcessIdentity): Promise<void> {
    const { clock } = this.#options;
    const restsUntilMs = this.#resting.get(identity.pid);
    if (restsUntilMs !== undefined && clock.monotonicMs() < restsUntilMs) return;
    this.#resting.delete(identity.pid);
    try {
      const { cpu, memory } = await pidusage(identity.pid, { maxage: this.#options.everyMs * ROUNDS_KEPT });
      this.#latest.set(keyOf(identity), { cpuRatio: Math.max(0, cpu / 100), residentBytes: Math.max(0, Math.round(memory)) });
    } catch (error) {
      // It has just ended, or its pid was used again while pidusage still holds a descriptor of the process before.
      this.#latest.delete(keyOf(identity));
      this.#resting.set(identity.pid, clock.monotonicMs() + PIDUSAGE_FORGETS_MS);
      this.#options.log.debug("cannot measure a process", { pid: identity.pid, error });
    }
  }
}

const ROUNDS_KEPT = 3;
/** pidusage looks for old entries every 30 s and keeps one for at most 60 s after it was last asked. */
const PIDUSAGE_FORGETS_MS = 95_000;

function keyOf({ pid, start_time }: ProcessIdentity): string {
  return `${pid}:${start_time}`;
}
