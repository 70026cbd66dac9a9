import type { Clock, Log, ProcessIdentity } from "@queen-and-hive/daemon";
import pidusage from "pidusage";

/** What a worker's processes use together: CPU time per time (1 is one core) and resident memory. */
export interface ProcessUse {
  readonly cpuRatio: number;
  readonly residentBytes: number;
}

/** A process with all that belong to it. */
export interface ProcessTree {
  /** By this one the tree is known. */
  readonly root: ProcessIdentity;
  /** All of the tree, the root included. */
  readonly pids: ReadonlySet<number>;
}

/** What a sampler needs. */
export interface SamplerOptions {
  readonly everyMs: number;
  /** Called at each round: the live trees of this moment. */
  readonly look: () => readonly ProcessTree[];
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
      const trees = this.#options.look();
      await Promise.all(trees.map((tree) => this.#measureTree(tree)));
      const keys = new Set(trees.map(({ root }) => keyOf(root)));
      for (const key of this.#latest.keys()) if (!keys.has(key)) this.#latest.delete(key);
      const nowMs = this.#options.clock.monotonicMs();
      for (const [pid, untilMs] of this.#resting) if (untilMs <= nowMs) this.#resting.delete(pid);
    } catch (error) {
      this.#options.log.warn("cannot measure the workers' processes", { error });
    }
  }

  async #measureTree({ root, pids }: ProcessTree): Promise<void> {
    const uses = (await Promise.all([...pids].map((pid) => this.#measure(pid)))).filter((use) => use !== null);
    if (uses.length === 0) {
      this.#latest.delete(keyOf(root));
      return;
    }
    this.#latest.set(keyOf(root), {
      cpuRatio: uses.reduce((sum, { cpuRatio }) => sum + cpuRatio, 0),
      residentBytes: uses.reduce((sum, { residentBytes }) => sum + residentBytes, 0),
    });
  }

  /** Null when it cannot be measured now. */
  async #measure(pid: number): Promise<ProcessUse | null> {
    const { clock } = this.#options;
    const restsUntilMs = this.#resting.get(pid);
    if (restsUntilMs !== undefined && clock.monotonicMs() < restsUntilMs) return null;
    this.#resting.delete(pid);
    try {
      const { cpu, memory } = await pidusage(pid, { maxage: this.#options.everyMs * ROUNDS_KEPT });
      return { cpuRatio: Math.max(0, cpu / 100), residentBytes: Math.max(0, Math.round(memory)) };
    } catch (error) {
      // It has just ended, or its pid was used again while pidusage still holds a descriptor of the process before.
      this.#resting.set(pid, clock.monotonicMs() + PIDUSAGE_FORGETS_MS);
      this.#options.log.debug("cannot measure a process", { pid, error });
      return null;
    }
  }
}

const ROUNDS_KEPT = 3;
/** pidusage looks for old entries every 30 s and keeps one for at most 60 s after it was last asked. */
const PIDUSAGE_FORGETS_MS = 95_000;

function keyOf({ pid, start_time }: ProcessIdentity): string {
  return `${pid}:${start_time}`;
}
