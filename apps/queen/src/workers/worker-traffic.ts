import { backoffMs, type Clock } from "@queen-and-hive/daemon";
import type { WorkerStanding } from "../domain/scheduling.ts";
import type { ReadyWorker, TrafficOutcome } from "./worker-directory.ts";

/** What the judge of traffic needs to know. */
export interface WorkerTrafficOptions {
  /** So many failures in a row cost a worker its standing, and a hive its good name when they are failures to connect. */
  readonly failuresMax: number;
  /** What fails then says nothing about a worker: it is trusted when its hive is back. */
  readonly isOutOfReach: (hiveId: string) => boolean;
  /** A hive's worker could not be reached again and again. */
  readonly onTrouble: (hiveId: string) => void;
  /** A worker that was given no requests may be tried again from now on. */
  readonly onTrial: (worker: ReadyWorker) => void;
  readonly clock: Clock;
}

interface Failures {
  inARow: number;
  unreachableInARow: number;
  trialAtMs: number;
  trial: Disposable | null;
}

/** How long a worker that fails gets no request: longer with each further failure. */
const TRIAL = { firstMs: 1_000, factor: 2, maxMs: 30_000, jitter: 0 };

/** What real traffic says about workers: who fails many requests in a row is given none for a while. */
export class WorkerTraffic implements Disposable {
  readonly #options: WorkerTrafficOptions;
  /** By worker; only those that have failed last. */
  readonly #failures = new WeakMap<ReadyWorker, Failures>();
  /** What tells of the end of their pause. */
  readonly #trials = new Set<Disposable>();

  constructor(options: WorkerTrafficOptions) {
    this.#options = options;
  }

  /** One request's outcome. A success makes up for everything. */
  report(worker: ReadyWorker, outcome: TrafficOutcome): void {
    if (outcome === "ok") {
      this.#forget(this.#failures.get(worker)?.trial);
      this.#failures.delete(worker);
      return;
    }
    const { failuresMax, isOutOfReach, onTrouble, clock } = this.#options;
    if (worker.hiveId !== null && isOutOfReach(worker.hiveId)) return;
    const failures = this.#failures.get(worker) ?? { inARow: 0, unreachableInARow: 0, trialAtMs: 0, trial: null };
    this.#failures.set(worker, failures);
    failures.inARow += 1;
    failures.unreachableInARow = outcome === "connect_failed" ? failures.unreachableInARow + 1 : 0;
    const pauseMs = backoffMs(Math.max(0, failures.inARow - failuresMax), TRIAL, () => 0.5);
    failures.trialAtMs = clock.monotonicMs() + pauseMs;
    if (failures.inARow >= failuresMax) this.#tellOfTrial(worker, failures, pauseMs);
    if (failures.unreachableInARow < failuresMax) return;
    failures.unreachableInARow = 0;
    if (worker.hiveId !== null) onTrouble(worker.hiveId);
  }

  /** Whether a worker may be given requests. */
  standing(worker: ReadyWorker): WorkerStanding {
    const failures = this.#failures.get(worker);
    if (failures === undefined || failures.inARow < this.#options.failuresMax) return "trusted";
    return this.#options.clock.monotonicMs() >= failures.trialAtMs ? "on_trial" : "shunned";
  }

  [Symbol.dispose](): void {
    for (const trial of [...this.#trials]) this.#forget(trial);
  }

  #tellOfTrial(worker: ReadyWorker, failures: Failures, inMs: number): void {
    const { clock, onTrial } = this.#options;
    this.#forget(failures.trial);
    const trial = clock.after(inMs, () => {
      this.#forget(trial);
      if (!worker.lost.aborted) onTrial(worker);
    });
    failures.trial = trial;
    this.#trials.add(trial);
  }

  #forget(trial: Disposable | null | undefined): void {
    if (trial === null || trial === undefined) return;
    this.#trials.delete(trial);
    trial[Symbol.dispose]();
  }
}
