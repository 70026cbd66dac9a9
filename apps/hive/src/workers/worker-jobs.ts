import { type Log, Mailbox } from "@queen-and-hive/daemon";
import { QhError, type WorkerId } from "@queen-and-hive/protocol";

interface Job {
  readonly run: () => Promise<boolean>;
  readonly done: PromiseWithResolvers<boolean>;
}

/** What is done to one worker, one thing after the other. */
export class WorkerJobs implements Disposable {
  readonly #workerId: WorkerId;
  readonly #log: Log;
  readonly #mailbox: Mailbox<Job>;
  #isDisposed = false;

  constructor(workerId: WorkerId, log: Log) {
    this.#workerId = workerId;
    this.#log = log;
    this.#mailbox = new Mailbox<Job>({
      name: workerId,
      handle: async ({ run, done }) => run().then(done.resolve, done.reject),
      log,
    });
  }

  /** Resolves when it was done. Rejects with `shutting_down` when it never will be. */
  post(run: () => Promise<boolean>): Promise<boolean> {
    const done = Promise.withResolvers<boolean>();
    const taken = this.#mailbox.post({ run, done });
    if (!taken) done.reject(new QhError("shutting_down", `cannot tell ${this.#workerId} anything: its supervision is ending`));
    return done.promise;
  }

  /** For what nobody waits for; `what` names it in the log when it fails. */
  postLater(what: string, run: () => Promise<unknown>): void {
    this.post(async () => Boolean(await run())).catch((error: unknown) => {
      if (this.#isDisposed) return;
      this.#log.error("cannot take note of what happened to a worker", { error, event: what, worker_id: this.#workerId });
    });
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#mailbox.close();
  }
}
