import type { Deadline } from "@queen-and-hive/daemon";
import { unreachable, type WorkerExit, type WorkerRecord } from "@queen-and-hive/protocol";
import type { ExitStatus } from "../domain/exit-status.ts";
import { nextWorker } from "../domain/worker-machine.ts";
import {
  freesMemory,
  processOf,
  type WorkerEffect,
  type WorkerEvent,
  type WorkerLife,
  type WorkerPhase,
  type WorkerProcess,
} from "../domain/worker-states.ts";
import type { KnownProcesses } from "../process/find-ours.ts";
import { OutputRotation } from "../process/output-rotation.ts";
import type { ProcessTable } from "../process/process-table.ts";
import type { WorkerPaths } from "../store/ledger.ts";
import { dropRecord, keepRecord } from "./keep-record.ts";
import { PendingStop, type StopOutcome } from "./pending-stop.ts";
import type { WorkerContext } from "./worker-context.ts";
import { WorkerEnding } from "./worker-ending.ts";
import { factsAfter, type WorkerFacts } from "./worker-facts.ts";
import { WorkerJobs } from "./worker-jobs.ts";
import { WorkerLaunching } from "./worker-launching.ts";
import { sayExited, sayReady } from "./worker-notices.ts";
import { recordOf } from "./worker-record.ts";
import { type WatchedWorker, WorkerWatches } from "./worker-watches.ts";

/**
 * One worker: the only writer of its state. Events come through a mailbox and go through the machine; what the machine
 * asks for is done here. Notices are on disk before the state changes, the state is on disk before its effects.
 */
export class Worker implements Disposable {
  readonly paths: WorkerPaths;
  readonly #context: WorkerContext;
  readonly #jobs: WorkerJobs;
  readonly #watches: WorkerWatches;
  readonly #ending: WorkerEnding;
  readonly #launching: WorkerLaunching;
  readonly #stop = new PendingStop();
  readonly #output: OutputRotation;
  #life: WorkerLife;
  #facts: WorkerFacts;
  #timer: Disposable | null = null;
  #isDisposed = false;
  #isPublished = false;

  constructor(context: WorkerContext, life: WorkerLife, facts: WorkerFacts) {
    this.#context = context;
    this.#life = life;
    this.#facts = facts;
    this.paths = context.ledger.pathsOf(facts.workerId);
    const { config, log } = context.options;
    this.#jobs = new WorkerJobs(facts.workerId, log);
    const { workerLogBytes: bytesMax, workerLogsKept: kept } = config.limits;
    this.#output = new OutputRotation(this.paths.output, { bytesMax, kept }, log, (partFrom) => {
      // A file that was cut off begins anew, and with it the present incarnation's part.
      this.#facts = { ...this.#facts, logOffset: 0 };
      this.#watches.outputRotated(partFrom);
    });
    const watched: WatchedWorker = {
      context,
      paths: this.paths,
      facts: () => this.#facts,
      life: () => this.#life,
      tell: (event) => this.tell(event),
      tellLater: (event) => this.#tellLater(event),
      onProgress: (progress) => {
        if (progress === this.#facts.progress) return;
        this.#facts = { ...this.#facts, progress };
        this.#publish();
      },
    };
    this.#watches = new WorkerWatches(watched);
    this.#ending = new WorkerEnding(watched, this.#watches, this.#stop);
    this.#launching = new WorkerLaunching({
      ...watched,
      jobs: this.#jobs,
      watches: this.#watches,
      stop: this.#stop,
      apply: (event) => this.#apply(event),
      onFacts: (next) => {
        this.#facts = next;
      },
      publish: () => this.#publish(),
    });
    const process = processOf(life.phase);
    if (process !== null) this.#watches.know(process);
  }

  get facts(): WorkerFacts {
    return this.#facts;
  }

  get life(): WorkerLife {
    return this.#life;
  }

  /** What a sweep knows of this worker's processes. */
  get known(): KnownProcesses {
    return this.#watches.known;
  }

  /** The worker as every list shows it. */
  get record(): WorkerRecord {
    const { config, hiveId } = this.#context.options;
    const process = processOf(this.#life.phase);
    const use = process === null ? null : this.#context.use(process.engine);
    return recordOf(this.#life, this.#facts, use, {
      hiveId,
      workerHost: config.workerHost,
      slotsMax: config.limits.slotsPerWorker,
    });
  }

  /** Starts the first incarnation; nothing is left of the worker when this throws, as `launch` does. */
  begin(): Promise<boolean> {
    return this.#jobs.post(async () => {
      try {
        await this.#launching.begin();
        return true;
      } catch (error) {
        this.#context.ports.release(this.#facts.ports);
        try {
          await this.#context.ledger.remove(this.#facts.workerId);
        } finally {
          // Whoever heard of its intent hears that nothing came of it.
          this.#life = { ...this.#life, phase: { name: "stopped" } };
          if (this.#isPublished) this.#context.publish({ record: this.record, removed: true });
          this.#stop.succeed();
          this[Symbol.dispose]();
        }
        throw error;
      }
    });
  }

  /** Goes on after a restart of the daemon with what the machine asks for in this state. */
  resume(effects: readonly WorkerEffect[]): Promise<boolean> {
    return this.#jobs.post(async () => {
      this.#context.ports.claim(this.#facts.ports);
      if (this.#life.phase.name === "loading") this.#launching.adopt();
      for (const effect of effects) await this.#run(effect);
      return true;
    });
  }

  /** Tells the worker what happened; true when that changed its state. Rejects when it could not be recorded. */
  tell(event: WorkerEvent): Promise<boolean> {
    return this.#jobs.post(() => this.#apply(event));
  }

  /** Stops the worker; a second call joins the first, and the earlier deadline counts. Throws `stop_failed`. */
  stop(deadline: Deadline): Promise<StopOutcome> {
    const outcome = this.#stop.join(deadline);
    this.#ending.noteDrain();
    this.#stop.begin(processOf(this.#life.phase)?.engine.pid ?? null);
    this.#launching.stop();
    this.tell({ type: "stop_requested" }).catch((error: unknown) => this.#stop.fail(error));
    return outcome;
  }

  /** Somebody's requests to the worker get no answer. */
  doubt(): void {
    this.#watches.doubt();
  }

  /** Ends the supervision and leaves the processes as they are. */
  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#watches[Symbol.dispose]();
    this.#ending[Symbol.dispose]();
    this.#timer?.[Symbol.dispose]();
    this.#launching[Symbol.dispose]();
    this.#jobs[Symbol.dispose]();
  }

  /** Notes where its processes have gone meanwhile, and keeps its output within limits. */
  observe(table: ProcessTable): void {
    const process = processOf(this.#life.phase);
    if (process === null) return;
    this.#facts = { ...this.#facts, descendants: this.#watches.learn(table, process) };
    void this.#output.rotate();
  }

  /** Takes over what earlier daemons have seen of its processes, beside these keys. */
  recall(keys: readonly string[]): void {
    this.#facts = { ...this.#facts, descendants: this.#watches.recall(keys) };
  }

  /** How the present incarnation ended, with its last words and the cause that they tell. */
  describeEnd(status: ExitStatus): WorkerExit {
    return this.#watches.describeEnd(status);
  }

  #tellLater(event: WorkerEvent): void {
    this.#jobs.postLater(event.type, () => this.#apply(event));
  }

  async #apply(event: WorkerEvent): Promise<boolean> {
    if (this.#isDisposed) return false;
    const step = nextWorker(this.#life, event);
    if (step.life === this.#life) return false;
    const facts = factsAfter(this.#facts, event, { from: this.#life, to: step.life, nowMs: this.#context.options.clock.nowMs() });
    // A launch records and publishes its own intent, and the last word comes when the record is removed.
    const isSaidLater = step.life.phase.name === "stopped" || step.effects.some(({ type }) => type === "launch");
    // An end is a fact and no decision: lists and streams show it at once, and only what follows from it waits for the disk.
    const isFact = event.type === "process_ended";
    if (isFact) this.#become(step.life, facts, !isSaidLater);
    let isTold = true;
    for (const effect of step.effects) isTold = (await this.#say(effect, processOf(step.life.phase))) && isTold;
    // Of an end that nobody was told, the ledger keeps the process: the next daemon finds it gone and tells it.
    const keepsProcess = !isTold && (isFact || event.type === "stop_proven");
    if (!isSaidLater && !keepsProcess) await keepRecord(this.#context, step.life, facts, event.type === "launched");
    if (!isFact) this.#become(step.life, facts, !isSaidLater);
    for (const effect of step.effects) await this.#run(effect);
    return true;
  }

  #become(life: WorkerLife, facts: WorkerFacts, publishes: boolean): void {
    if (facts.devices.length > 0 && freesMemory(this.#life.phase, life.phase)) this.#context.desk.freed();
    this.#life = life;
    this.#facts = facts;
    if (!isStarting(life.phase)) this.#launching.endTurn();
    if (publishes) this.#publish();
  }

  async #say(effect: WorkerEffect, process: WorkerProcess | null): Promise<boolean> {
    const subject = { facts: this.#facts, incarnation: this.#life.incarnation };
    if (effect.type === "say_exited") return await sayExited(this.#context, subject, effect.exit, effect.willRestart);
    if (effect.type !== "say_ready") return true;
    if (process === null) throw new Error("a worker without a process cannot be ready");
    await sayReady(this.#context, subject, process, effect.facts);
    return true;
  }

  async #run(effect: WorkerEffect): Promise<void> {
    switch (effect.type) {
      case "say_ready":
      case "say_exited":
        return; // Said before the state changed.
      case "launch":
        return await this.#launching.beginAgain(effect.incarnation);
      case "watch":
        this.#watches.watch(effect.process);
        if (effect.untilReady) this.#watches.watchStart(effect.process);
        return;
      case "warm_up":
        return this.#watches.warmUp();
      case "watch_start_no_more":
        return this.#watches.startNoMore();
      case "watch_health":
        return this.#watches.watchHealth();
      case "watch_health_no_more":
        return this.#watches.healthNoMore();
      case "clear_leftovers":
        this.#watches[Symbol.dispose]();
        return this.#ending.clearLeftovers();
      case "wait":
        return this.#wait(effect.ms);
      case "wait_no_more":
        this.#timer?.[Symbol.dispose]();
        return;
      case "end_process":
        return this.#ending.end();
      case "forget":
        return await this.#forget();
      default:
        return unreachable(effect);
    }
  }

  #publish(): void {
    this.#isPublished = true;
    this.#context.publish({ record: this.record, removed: false });
  }

  #wait(ms: number): void {
    const { incarnation } = this.#life;
    this.#timer?.[Symbol.dispose]();
    this.#timer = this.#context.options.clock.after(ms, () => this.#tellLater({ type: "wait_over", incarnation }));
  }

  async #forget(): Promise<void> {
    await dropRecord(this.#context, this.#facts);
    this.#context.publish({ record: this.record, removed: true });
    this.#stop.succeed();
    this[Symbol.dispose]();
  }
}

function isStarting({ name }: WorkerPhase): boolean {
  return name === "starting" || name === "loading";
}
