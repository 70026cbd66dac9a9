import { Deadline, Mailbox } from "@queen-and-hive/daemon";
import { QhError, unreachable, type WorkerExit, type WorkerRecord } from "@queen-and-hive/protocol";
import { classifyExit } from "../domain/exit-cause.ts";
import type { ExitStatus } from "../domain/exit-status.ts";
import { nextWorker } from "../domain/worker-machine.ts";
import {
  processOf,
  type ReadyFacts,
  type WorkerEffect,
  type WorkerEvent,
  type WorkerLife,
  type WorkerProcess,
} from "../domain/worker-states.ts";
import type { EndedHow } from "../process/end-processes.ts";
import { readExitStatus } from "../process/exit-file.ts";
import type { KnownProcesses } from "../process/find-ours.ts";
import { readOomKills } from "../process/machine-facts.ts";
import { outputSize, outputTail, rotateOutput } from "../process/output-log.ts";
import { descendantKeys, type ProcessTable, processKey } from "../process/process-table.ts";
import { watchProcess } from "../process/process-watch.ts";
import type { WorkerPaths } from "../store/ledger.ts";
import { isSameHash, newCallbackToken } from "./callback-token.ts";
import { checkLaunch, launch, launchFailure } from "./launch.ts";
import { entryOf } from "./ledger-mapping.ts";
import { StartWatch } from "./start-watch.ts";
import type { WorkerContext } from "./worker-context.ts";
import { clearLeftovers, endWithProof } from "./worker-ending.ts";
import { type WorkerFacts, workerUrl } from "./worker-facts.ts";
import { recordOf, timeText } from "./worker-record.ts";

/** How a stop ended, and the process that was there when it began. */
export interface StopOutcome {
  readonly how: EndedHow;
  readonly pid: number | null;
}

/** Whose token was presented. */
export type TokenOwner = "current" | "earlier" | "nobody";

interface Job {
  readonly run: () => Promise<boolean>;
  readonly done: PromiseWithResolvers<boolean>;
}

/**
 * One worker: the only writer of its state. Events come through a mailbox and go through the machine; what the machine
 * asks for is done here. Notices are on disk before the state changes, the state is on disk before its effects.
 */
export class Worker implements Disposable {
  readonly paths: WorkerPaths;
  readonly #context: WorkerContext;
  readonly #mailbox: Mailbox<Job>;
  readonly #sessions = new Set<number>();
  readonly #keys = new Set<string>();
  #life: WorkerLife;
  #facts: WorkerFacts;
  #watch: Disposable | null = null;
  #startWatch: StartWatch | null = null;
  #timer: Disposable | null = null;
  #launchAbort: AbortController | null = null;
  #oomKills: number | null = null;
  #stopDeadline: Deadline | null = null;
  #stopPid: number | null = null;
  #stopHow: EndedHow = "already_gone";
  #stopping: PromiseWithResolvers<StopOutcome> | null = null;
  #isDisposed = false;

  constructor(context: WorkerContext, life: WorkerLife, facts: WorkerFacts) {
    this.#context = context;
    this.#life = life;
    this.#facts = facts;
    this.paths = context.ledger.pathsOf(facts.workerId);
    this.#mailbox = new Mailbox<Job>({
      name: facts.workerId,
      handle: async ({ run, done }) => run().then(done.resolve, done.reject),
      log: context.options.log,
    });
    const process = processOf(life.phase);
    if (process !== null) this.#know(process);
  }

  get facts(): WorkerFacts {
    return this.#facts;
  }

  get life(): WorkerLife {
    return this.#life;
  }

  /** What a sweep knows of this worker's processes. */
  get known(): KnownProcesses {
    return { sessions: this.#sessions, keys: this.#keys };
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
    return this.#post(async () => {
      try {
        await this.#launch(this.#life.incarnation);
        return true;
      } catch (error) {
        this.#context.ports.release(this.#facts.ports);
        await this.#context.ledger.remove(this.#facts.workerId);
        this.#stopping?.resolve({ how: "already_gone", pid: null });
        this[Symbol.dispose]();
        throw error;
      }
    });
  }

  /** Goes on after a restart of the daemon with what the machine asks for in this state. */
  resume(effects: readonly WorkerEffect[]): Promise<boolean> {
    return this.#post(async () => {
      this.#oomKills = readOomKills();
      this.#context.ports.claim(this.#facts.ports);
      for (const effect of effects) await this.#run(effect);
      return true;
    });
  }

  /** Tells the worker what happened; true when that changed its state. Rejects when it could not be recorded. */
  tell(event: WorkerEvent): Promise<boolean> {
    return this.#post(() => this.#apply(event));
  }

  /** Stops the worker; a second call joins the first, and the earlier deadline counts. Throws `stop_failed`. */
  stop(deadline: Deadline): Promise<StopOutcome> {
    this.#stopDeadline = this.#stopDeadline === null ? deadline : this.#stopDeadline.min(deadline);
    this.#stopping ??= Promise.withResolvers<StopOutcome>();
    this.#stopPid ??= processOf(this.#life.phase)?.engine.pid ?? null;
    this.#launchAbort?.abort(new QhError("shutting_down", `cannot start ${this.#facts.workerId}: it is being stopped`));
    const { promise } = this.#stopping;
    this.tell({ type: "stop_requested" }).catch((error: unknown) => this.#stopFailed(error));
    return promise;
  }

  /** Ends the supervision and leaves the processes as they are. */
  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#watchNoMore();
    this.#timer?.[Symbol.dispose]();
    this.#launchAbort?.abort(new QhError("shutting_down", "cannot start a worker: the hive is ending"));
    this.#mailbox.close();
  }

  /** Whose a presented token's hash is. */
  ownerOf(sha256: string): TokenOwner {
    const { tokenSha256, oldTokensSha256 } = this.#facts;
    if (tokenSha256 !== null && isSameHash(tokenSha256, sha256)) return "current";
    return oldTokensSha256.some((old) => isSameHash(old, sha256)) ? "earlier" : "nobody";
  }

  /** Notes where its processes have gone meanwhile, and keeps its output within limits. */
  observe(table: ProcessTable): void {
    const process = processOf(this.#life.phase);
    if (process === null) return;
    for (const key of descendantKeys(table, new Set([process.shim.pid]))) this.#keys.add(key);
    const { workerLogBytes, workerLogsKept } = this.#context.options.config.limits;
    if (rotateOutput(this.paths.output, { bytesMax: workerLogBytes, kept: workerLogsKept })) {
      this.#facts = { ...this.#facts, logOffset: 0 };
    }
  }

  #post(run: () => Promise<boolean>): Promise<boolean> {
    const done = Promise.withResolvers<boolean>();
    const taken = this.#mailbox.post({ run, done });
    if (!taken)
      done.reject(new QhError("shutting_down", `cannot tell ${this.#facts.workerId} anything: its supervision is ending`));
    return done.promise;
  }

  /** For events that nobody waits for. */
  #tellLater(event: WorkerEvent): void {
    this.tell(event).catch((error: unknown) => {
      if (!this.#isDisposed)
        this.#context.options.log.error("cannot take note of what happened to a worker", {
          error,
          event: event.type,
          worker_id: this.#facts.workerId,
        });
    });
  }

  async #apply(event: WorkerEvent): Promise<boolean> {
    if (this.#isDisposed) return false;
    const step = nextWorker(this.#life, event);
    if (step.life === this.#life) return false;
    for (const effect of step.effects) {
      if (effect.type === "say_ready") await this.#sayReady(effect.facts);
      if (effect.type === "say_exited") await this.#sayExited(effect.exit, effect.willRestart);
    }
    const facts = this.#factsAfter(event, step.life);
    // A launch records and publishes its own intent, and the last word comes when the record is removed.
    const isSaidLater = step.life.phase.name === "stopped" || step.effects.some(({ type }) => type === "launch");
    if (!isSaidLater) await this.#record(step.life, facts, event.type === "launched");
    this.#life = step.life;
    this.#facts = facts;
    if (!isSaidLater) this.#context.publish({ record: this.record, removed: false });
    for (const effect of step.effects) await this.#run(effect);
    return true;
  }

  #factsAfter(event: WorkerEvent, life: WorkerLife): WorkerFacts {
    const nowMs = this.#context.options.clock.nowMs();
    const { phase } = life;
    const waitMs = phase.name === "crashed" ? phase.decision.waitMs : "waitMs" in phase ? phase.waitMs : Number.POSITIVE_INFINITY;
    return {
      ...this.#facts,
      sinceMs: phase.name === this.#life.phase.name ? this.#facts.sinceMs : nowMs,
      readyAtMs:
        phase.name === "ready"
          ? phase.readyAtMs
          : phase.name === "starting" || phase.name === "loading"
            ? null
            : this.#facts.readyAtMs,
      retryAtMs: Number.isFinite(waitMs) ? nowMs + waitMs : null,
      stopWanted: this.#facts.stopWanted || event.type === "stop_requested",
    };
  }

  /** Stopping and reporting go on when the disk is full; only a process that is not recorded must not begin. */
  async #record(life: WorkerLife, facts: WorkerFacts, mustSucceed: boolean): Promise<void> {
    try {
      await this.#context.ledger.write(facts.workerId, entryOf(life, facts, this.#context.bootId));
    } catch (error) {
      if (mustSucceed) throw error;
      this.#context.options.log.error("cannot record a worker's state; it goes on unrecorded", {
        error,
        worker_id: facts.workerId,
      });
    }
  }

  async #run(effect: WorkerEffect): Promise<void> {
    switch (effect.type) {
      case "say_ready":
      case "say_exited":
        return; // Said before the state changed.
      case "launch":
        return await this.#launchAgain(effect.incarnation);
      case "watch":
        return this.#watchProcess(effect.process, effect.untilReady);
      case "watch_start_no_more":
        this.#startWatch?.[Symbol.dispose]();
        this.#startWatch = null;
        return;
      case "clear_leftovers":
        this.#watchNoMore();
        void this.#clear(this.#life.incarnation);
        return;
      case "wait":
        return this.#wait(effect.ms);
      case "wait_no_more":
        this.#timer?.[Symbol.dispose]();
        return;
      case "end_process":
        void this.#end();
        return;
      case "forget":
        return await this.#forget();
      default:
        return unreachable(effect);
    }
  }

  async #launchAgain(incarnation: number): Promise<void> {
    const { options, counts } = this.#context;
    counts.restarted(this.#facts.spec.model.id);
    try {
      await this.#launch(incarnation);
    } catch (error) {
      if (this.#isDisposed) return;
      options.log.warn("cannot start a worker again", { error, worker_id: this.#facts.workerId, incarnation });
      if (this.#stopping !== null) await this.#apply({ type: "stop_requested" });
      await this.#apply({ type: "launch_failed", incarnation, exit: launchFailure(error), ...this.#moment() });
    }
  }

  /** Takes ports, records the intent, starts the process held, records its identity, and only then lets it run. */
  async #launch(incarnation: number): Promise<void> {
    const { options, ledger, ports, bootId } = this.#context;
    const { workerId, ports: before } = this.#facts;
    const abort = new AbortController();
    this.#launchAbort = abort;
    try {
      if (this.#stopping !== null) abort.abort(new QhError("shutting_down", `cannot start ${workerId}: it is being stopped`));
      abort.signal.throwIfAborted();
      checkLaunch(options, this.#facts);
      await ledger.prepare(workerId);
      ports.release(before);
      this.#facts = { ...this.#facts, ports: [] };
      const preferred = this.#life.lastExit?.cause === "port_in_use" ? [] : before;
      const taken = await ports.take(options.config.portsPerWorker, preferred);
      const token = newCallbackToken(incarnation);
      this.#facts = this.#factsOfLaunch(taken, token.sha256);
      this.#sessions.clear();
      this.#keys.clear();
      await ledger.removeTraces(workerId, incarnation - 1);
      await ledger.removeTraces(workerId, incarnation);
      await ledger.write(workerId, entryOf(this.#life, this.#facts, bootId));
      this.#context.publish({ record: this.record, removed: false });
      const held = await launch({ options, paths: this.paths, incarnation, facts: this.#facts, token, signal: abort.signal });
      try {
        this.#know(held.process);
        this.#oomKills = readOomKills();
        if (!(await this.#apply({ type: "launched", incarnation, process: held.process }))) abort.signal.throwIfAborted();
      } catch (error) {
        held.abort();
        await held.ended;
        throw error;
      }
      held.release();
    } finally {
      this.#launchAbort = null;
    }
  }

  #factsOfLaunch(ports: readonly number[], tokenSha256: string): WorkerFacts {
    const { tokenSha256: before, oldTokensSha256 } = this.#facts;
    return {
      ...this.#facts,
      ports,
      tokenSha256,
      oldTokensSha256: (before === null ? oldTokensSha256 : [before, ...oldTokensSha256]).slice(0, OLD_TOKENS_MAX),
      spawnedAtMs: this.#context.options.clock.nowMs(),
      readyAtMs: null,
      logOffset: outputSize(this.paths.output),
      progress: null,
    };
  }

  #know({ engine, shim }: WorkerProcess): void {
    this.#sessions.add(shim.pid);
    this.#keys.add(processKey(shim.pid, shim)).add(processKey(engine.pid, engine));
  }

  #watchProcess(process: WorkerProcess, untilReady: boolean): void {
    const { options } = this.#context;
    const { incarnation } = this.#life;
    this.#watch = watchProcess({
      process,
      alivePath: this.paths.alive(incarnation),
      exitPath: this.paths.exit(incarnation),
      clock: options.clock,
      onEnd: (status) =>
        this.#tellLater({ type: "process_ended", incarnation, exit: this.describeEnd(status), ...this.#moment() }),
    });
    if (untilReady) this.#watchStart(process, incarnation);
  }

  #watchStart(process: WorkerProcess, incarnation: number): void {
    const { options } = this.#context;
    const { spec, ports, spawnedAtMs, logOffset } = this.#facts;
    const url = workerUrl(options.config.workerHost, ports[0] ?? 0);
    this.#startWatch = new StartWatch({
      spec,
      process,
      url,
      outputPath: this.paths.output,
      outputFrom: logOffset,
      alreadyMs: Math.max(0, options.clock.nowMs() - (spawnedAtMs ?? options.clock.nowMs())),
      pauses: options.config.readyProbe,
      clock: options.clock,
      log: options.log,
      onReady: async () => {
        await this.tell({ type: "ready", incarnation, facts: this.#foundReady(url), atMs: options.clock.nowMs() });
      },
      onGiveUp: (cause) => this.#tellLater({ type: "start_given_up", incarnation, cause }),
      onProgress: (progress) => {
        this.#facts = { ...this.#facts, progress };
      },
    });
    this.#startWatch.start();
  }

  /** What is known of a worker that a probe or a log line found ready. */
  #foundReady(url: string): ReadyFacts {
    const { spec } = this.#facts;
    return {
      url,
      model_ref: spec.model.path ?? spec.model.id,
      backend: spec.runtime.name,
      device: spec.devices.join(",") || "unknown",
    };
  }

  #watchNoMore(): void {
    this.#watch?.[Symbol.dispose]();
    this.#startWatch?.[Symbol.dispose]();
    this.#watch = null;
    this.#startWatch = null;
  }

  /** How this incarnation ended, with its last words and the cause that they tell. */
  describeEnd(status: ExitStatus): WorkerExit {
    const logTail = outputTail(this.paths.output, this.#context.options.config.limits.logTailLines, this.#facts.logOffset);
    const kills = readOomKills();
    const oomKillSeen = kills !== null && this.#oomKills !== null && kills > this.#oomKills;
    const cause = classifyExit({ status, oomKillSeen, logTail });
    return { exit_code: status.exitCode, signal: status.signal, cause, log_tail: [...logTail] };
  }

  async #sayReady(facts: ReadyFacts): Promise<void> {
    const process = processOf(this.#life.phase);
    const { workerId, queenId, spawnedAtMs } = this.#facts;
    const nowMs = this.#context.options.clock.nowMs();
    if (process === null) throw new Error("a worker without a process cannot be ready");
    await this.#context.options.notices.workerReady({
      ...facts,
      worker_id: workerId,
      queen_id: queenId,
      incarnation: this.#life.incarnation,
      pid: process.engine.pid,
      start_time: process.engine.start_time,
      spawned_at: timeText(spawnedAtMs ?? nowMs),
      ready_at: timeText(nowMs),
    });
  }

  async #sayExited(exit: WorkerExit, willRestart: boolean): Promise<void> {
    const { notices, log } = this.#context.options;
    const { workerId, queenId } = this.#facts;
    this.#context.counts.exited(exit);
    log.info("a worker ended", {
      worker_id: workerId,
      incarnation: this.#life.incarnation,
      exit_code: exit.exit_code,
      signal: exit.signal,
      cause: exit.cause,
      will_restart: willRestart,
    });
    try {
      await notices.workerExited({
        worker_id: workerId,
        queen_id: queenId,
        incarnation: this.#life.incarnation,
        ...exit,
        will_restart: willRestart,
      });
    } catch (error) {
      log.error("cannot keep the message of a worker's end on disk; the next snapshot tells the queen", {
        error,
        worker_id: workerId,
      });
    }
  }

  async #clear(incarnation: number): Promise<void> {
    const { options } = this.#context;
    try {
      await clearLeftovers({ context: this.#context, facts: this.#facts, known: this.known });
      this.#tellLater({ type: "leftovers_cleared", incarnation });
    } catch (error) {
      options.log.error("a worker's leftovers cannot be cleared; it is not started again before they are gone", { error });
      // Nothing may run twice: tried again for as long as nobody stops the worker.
      this.#timer = options.clock.after(CLEAR_RETRY_MS, () => {
        if (this.#life.phase.name === "crashed") void this.#clear(incarnation);
      });
    }
  }

  #wait(ms: number): void {
    const { incarnation } = this.#life;
    this.#timer?.[Symbol.dispose]();
    this.#timer = this.#context.options.clock.after(ms, () => this.#tellLater({ type: "wait_over", incarnation }));
  }

  async #end(): Promise<void> {
    const { options } = this.#context;
    const { stop } = options.config;
    const process = processOf(this.#life.phase);
    this.#stopPid ??= process?.engine.pid ?? null;
    const own = Deadline.in(stop.termMs + stop.verifyMs + STOP_MARGIN_MS, options.clock);
    try {
      this.#stopHow = await endWithProof({
        context: this.#context,
        facts: this.#facts,
        process,
        known: this.known,
        deadline: () => this.#stopDeadline ?? own,
      });
      this.#watchNoMore();
      const exit = process === null ? null : this.describeEnd(readExitStatus(this.paths.exit(this.#life.incarnation)));
      this.#tellLater({ type: "stop_proven", exit, ...this.#moment() });
    } catch (error) {
      options.log.error("cannot stop a worker", { error, worker_id: this.#facts.workerId });
      this.#tellLater({ type: "stop_failed" });
      this.#stopFailed(error);
    }
  }

  #stopFailed(error: unknown): void {
    this.#stopping?.reject(error);
    this.#stopping = null;
    this.#stopDeadline = null;
  }

  async #forget(): Promise<void> {
    const { ledger, ports, options } = this.#context;
    const { workerId } = this.#facts;
    ports.release(this.#facts.ports);
    try {
      await ledger.remove(workerId);
    } catch (error) {
      options.log.error("cannot remove a stopped worker's record", { error, worker_id: workerId });
    }
    this.#context.publish({ record: this.record, removed: true });
    this.#stopping?.resolve({ how: this.#stopHow, pid: this.#stopPid });
    this[Symbol.dispose]();
  }

  #moment() {
    return { atMs: this.#context.options.clock.nowMs(), random: Math.random() };
  }
}

const OLD_TOKENS_MAX = 8;
const CLEAR_RETRY_MS = 5_000;
/** What a stop of our own may take beyond TERM and proof. */
const STOP_MARGIN_MS = 3_000;
