import { Deadline } from "@queen-and-hive/daemon";
import { processOf } from "../domain/worker-states.ts";
import { readExitStatus } from "../process/exit-file.ts";
import { clearLeftovers, endWithProof } from "./end-with-proof.ts";
import type { PendingStop } from "./pending-stop.ts";
import type { WatchedWorker, WorkerWatches } from "./worker-watches.ts";

/** Ends one worker's processes, or what they left behind, and tells the worker how that went. */
export class WorkerEnding implements Disposable {
  readonly #worker: WatchedWorker;
  readonly #watches: WorkerWatches;
  readonly #stop: PendingStop;
  #retry: Disposable | null = null;

  constructor(worker: WatchedWorker, watches: WorkerWatches, stop: PendingStop) {
    this.#worker = worker;
    this.#watches = watches;
    this.#stop = stop;
  }

  /** Ends everything of the worker; `stop_proven` or `stop_failed` follows, and after that another try for as long as it is stuck. */
  end(): void {
    void this.#end();
  }

  /** Tells how long a worker that is stopped now was drained before. */
  noteDrain(): void {
    const { context, facts, life } = this.#worker;
    const { workerId, sinceMs } = facts();
    const { phase, incarnation } = life();
    if (phase.name !== "draining") return;
    const durationMs = Math.max(0, context.options.clock.nowMs() - sinceMs);
    context.publishStep({ workerId, incarnation, step: "drain", outcome: "ok", durationMs, pids: [] });
  }

  /** Clears what an ended process left; `leftovers_cleared` follows, or another try for as long as nobody stops the worker. */
  clearLeftovers(): void {
    void this.#clear(this.#worker.life().incarnation);
  }

  [Symbol.dispose](): void {
    this.#retry?.[Symbol.dispose]();
  }

  async #end(): Promise<void> {
    const { context, paths, life, facts, tellLater } = this.#worker;
    const { clock, config, log } = context.options;
    const { phase, incarnation } = life();
    const process = processOf(phase);
    this.#stop.begin(process?.engine.pid ?? null);
    const own = Deadline.in(config.stop.termMs + config.stop.verifyMs + STOP_MARGIN_MS, clock);
    try {
      const how = await endWithProof({
        context,
        facts: facts(),
        incarnation,
        process,
        isServing: phase.name === "stopping" && phase.reason === "operator" && phase.readyAtMs !== null,
        deadline: () => this.#stop.deadline ?? own,
      });
      this.#stop.ended(how);
      this.#watches[Symbol.dispose]();
      const exit = process === null ? null : this.#watches.describeEnd(readExitStatus(paths.exit(life().incarnation), log));
      tellLater({ type: "stop_proven", exit, atMs: clock.nowMs(), random: Math.random() });
    } catch (error) {
      log.error("cannot stop a worker", { error, worker_id: facts().workerId });
      tellLater({ type: "stop_failed" });
      this.#stop.fail(error);
      // Nobody else asks again for an end that the hive itself wanted.
      this.#tryAgain(() => tellLater({ type: "stop_retry_due" }));
    }
  }

  async #clear(incarnation: number): Promise<void> {
    const { context, facts, life, tellLater } = this.#worker;
    const { log } = context.options;
    try {
      await clearLeftovers({ context, facts: facts(), incarnation });
      tellLater({ type: "leftovers_cleared", incarnation });
    } catch (error) {
      log.error("a worker's leftovers cannot be cleared; it is not started again before they are gone", { error });
      // Nothing may run twice.
      this.#tryAgain(() => {
        if (life().phase.name === "crashed") void this.#clear(incarnation);
      });
    }
  }

  #tryAgain(run: () => void): void {
    this.#retry?.[Symbol.dispose]();
    this.#retry = this.#worker.context.options.clock.after(RETRY_MS, run);
  }
}

/** Between two tries to end what survived KILL. */
const RETRY_MS = 5_000;
/** What a stop of our own may take beyond TERM and proof. */
const STOP_MARGIN_MS = 3_000;
