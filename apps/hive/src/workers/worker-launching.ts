import { QhError } from "@queen-and-hive/protocol";
import type { WorkerEvent, WorkerProcess } from "../domain/worker-states.ts";
import { admitIncarnation } from "./admit-incarnation.ts";
import { keepRecord } from "./keep-record.ts";
import { launchFailure } from "./launch.ts";
import { launchIncarnation } from "./launch-incarnation.ts";
import type { PendingStop } from "./pending-stop.ts";
import type { StartTurn } from "./start-turns.ts";
import type { WorkerFacts } from "./worker-facts.ts";
import type { WorkerJobs } from "./worker-jobs.ts";
import type { WatchedWorker, WorkerWatches } from "./worker-watches.ts";

/** The worker that is launched. */
export interface LaunchedWorker extends WatchedWorker {
  readonly jobs: WorkerJobs;
  readonly watches: WorkerWatches;
  readonly stop: PendingStop;
  /** Takes an event from within a job. */
  readonly apply: (event: WorkerEvent) => Promise<boolean>;
  readonly onFacts: (facts: WorkerFacts) => void;
  /** Tells everybody how the worker stands now. */
  readonly publish: () => void;
}

/** Launches the incarnations of one worker, each when it is its turn on its devices. */
export class WorkerLaunching implements Disposable {
  readonly #worker: LaunchedWorker;
  #turn: StartTurn | null = null;
  #abort: AbortController | null = null;
  #isDisposed = false;

  constructor(worker: LaunchedWorker) {
    this.#worker = worker;
  }

  /**
   * Has devices given and launches now, or as soon as it is this worker's turn there. Throws as the admission desk does, and
   * as `launch` does when it is its turn now.
   */
  async begin(): Promise<void> {
    const { context, facts, life, onFacts, publish, jobs } = this.#worker;
    const { workerId } = facts();
    this.endTurn();
    await this.#abortably((signal) => admitIncarnation({ context, facts: facts(), signal, onFacts }));
    const turn = context.starts.take(facts().devices, workerId);
    this.#turn = turn;
    if (turn.behind.length === 0) return await this.#launch();
    onFacts({ ...facts(), progress: `waits for its devices, where ${turn.behind.join(", ")} starts` });
    await context.ledger.prepare(workerId);
    await keepRecord(context, life(), facts(), true);
    publish();
    const { incarnation } = life();
    void turn.come.then(() => jobs.postLater("its turn to start", () => this.#launchInTurn(incarnation)));
  }

  /** Launches a further incarnation; a failure is an event of the worker. */
  async beginAgain(incarnation: number): Promise<void> {
    this.#worker.context.counts.restarted(this.#worker.facts().spec.model.id);
    await this.#orFail(incarnation, () => this.begin());
  }

  /** A worker that was adopted while it loaded has its turn already. */
  adopt(): void {
    const { context, facts } = this.#worker;
    this.#turn = context.starts.take(facts().devices, facts().workerId, true);
  }

  /** The worker no longer starts: the next one may. */
  endTurn(): void {
    this.#turn?.[Symbol.dispose]();
    this.#turn = null;
  }

  /** The worker is to be stopped: a launch that waits or is on its way ends at once. */
  stop(): void {
    this.#abort?.abort(beingStopped(this.#worker.facts()));
    this.#turn?.hurry();
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.endTurn();
    this.#abort?.abort(new QhError("shutting_down", "cannot start a worker: the hive is ending"));
  }

  async #launchInTurn(incarnation: number): Promise<boolean> {
    const { life } = this.#worker;
    if (this.#isDisposed || life().incarnation !== incarnation) return false;
    await this.#orFail(incarnation, () => this.#launch());
    return true;
  }

  async #orFail(incarnation: number, launch: () => Promise<void>): Promise<void> {
    const { context, facts, stop, apply } = this.#worker;
    const { log, clock } = context.options;
    try {
      await launch();
    } catch (error) {
      if (this.#isDisposed) return;
      log.warn("cannot start a worker", { error, worker_id: facts().workerId, incarnation });
      if (stop.isWanted) await apply({ type: "stop_requested" });
      const moment = { atMs: clock.nowMs(), random: Math.random() };
      await apply({ type: "launch_failed", incarnation, exit: launchFailure(error), ...moment });
    }
  }

  async #launch(): Promise<void> {
    const { context, paths, life, facts, watches, onFacts, publish } = this.#worker;
    const onIntent = (): void => {
      watches.forget();
      publish();
    };
    const onHeld = (process: WorkerProcess): Promise<boolean> => this.#held(process);
    await this.#abortably((signal) =>
      launchIncarnation({ context, paths, life: life(), facts: facts(), signal, onFacts, onIntent, onHeld }),
    );
  }

  /** What a stop of the worker ends at once. */
  async #abortably(run: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const { facts, stop } = this.#worker;
    const abort = new AbortController();
    this.#abort = abort;
    if (stop.isWanted) abort.abort(beingStopped(facts()));
    try {
      await run(abort.signal);
    } finally {
      this.#abort = null;
    }
  }

  #held(process: WorkerProcess): Promise<boolean> {
    const { watches, life, apply } = this.#worker;
    watches.begin(process);
    return apply({ type: "launched", incarnation: life().incarnation, process });
  }
}

function beingStopped({ workerId }: WorkerFacts): QhError {
  return new QhError("shutting_down", `cannot start ${workerId}: it is being stopped`);
}
