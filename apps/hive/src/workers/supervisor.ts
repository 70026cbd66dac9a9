import { join } from "node:path";
import { Broadcast, type Deadline, readBootId } from "@queen-and-hive/daemon";
import {
  type CallbackAnswer,
  type HiveShutdownAnswer,
  parseWorkerId,
  QhError,
  type SpawnRequest,
  type WorkerId,
  type WorkerReadyCallback,
  type WorkerRecord,
  type WorkerStopAnswer,
} from "@queen-and-hive/protocol";
import { isSameSpec } from "../domain/spec-equality.ts";
import { newWorkerLife } from "../domain/worker-machine.ts";
import { processOf, type WorkerEvent } from "../domain/worker-states.ts";
import { followLog } from "../process/output-follow.ts";
import { historyTail } from "../process/output-history.ts";
import { PortPool } from "../process/ports.ts";
import { type ProcessTable, treeOf } from "../process/process-table.ts";
import { ProcessViews } from "../process/process-views.ts";
import { listensOnLoopbackOnly } from "../process/reach-worker.ts";
import { type ProcessTree, Sampler } from "../process/sampler.ts";
import { WorkerCgroups } from "../process/worker-cgroups.ts";
import { checkOwnVariables } from "../runtimes/worker-environment.ts";
import { Ledger } from "../store/ledger.ts";
import { MemoryNotes } from "../store/memory-notes.ts";
import { AdmissionDesk, deskWorkerOf } from "./admission-desk.ts";
import { sha256Of, tokenOwnerOf } from "./callback-token.ts";
import { checkSpawn } from "./check-spawn.ts";
import { DeviceQuarantine } from "./device-quarantine.ts";
import { readyFactsOf } from "./ready-facts.ts";
import { recoverAll } from "./recover-all.ts";
import { StartTurns } from "./start-turns.ts";
import type { RecoveryReport, Supervision, WorkerChange, WorkerStep } from "./supervision.ts";
import type { SupervisorOptions } from "./supervisor-options.ts";
import { Worker } from "./worker.ts";
import type { WorkerContext } from "./worker-context.ts";
import { workerCounts } from "./worker-counts.ts";
import { newWorkerFacts } from "./worker-facts.ts";

/**
 * Opens the keeper of this hive's workers; nothing is started or ended before `recover`. Throws `storage_failed`,
 * `invalid_config`.
 */
export function createSupervisor(options: SupervisorOptions): Supervision {
  checkOwnVariables(options.config.env, "invalid_config", "env");
  return new Supervisor(options);
}

class Supervisor implements Supervision {
  readonly changes: Broadcast<WorkerChange>;
  readonly steps: Broadcast<WorkerStep>;
  readonly #options: SupervisorOptions;
  readonly #workers = new Map<WorkerId, Worker>();
  /** Spawns whose first launch is on its way. */
  readonly #beginning = new Map<WorkerId, Promise<boolean>>();
  readonly #context: WorkerContext;
  readonly #sampler: Sampler;
  #isClosed = false;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    const { config, clock, log } = options;
    this.changes = new Broadcast<WorkerChange>((error) => log.error("a listener to worker changes failed", { error }));
    this.steps = new Broadcast<WorkerStep>((error) => log.error("a listener to the steps of stops failed", { error }));
    const cgroups = new WorkerCgroups(options.stateId, log, options.kernel?.cgroup);
    const ledger = Ledger.open(options.stateDir);
    this.#sampler = new Sampler({
      everyMs: config.sampleEveryMs,
      look: () => this.#observe(),
      clock,
      log,
    });
    this.#context = {
      options,
      ledger,
      ports: new PortPool(config.workerHost, config.workerPorts),
      bootId: readBootId(),
      views: new ProcessViews(
        clock,
        () => ({ stateId: options.stateId, workersDir: ledger.dir, inCgroups: cgroups.members() }),
        () => new Map([...this.#workers].map(([workerId, worker]) => [workerId, worker.known])),
      ),
      use: (identity) => this.#sampler.latest(identity),
      starts: new StartTurns(),
      cgroups,
      quarantine: new DeviceQuarantine(),
      desk: new AdmissionDesk({
        devices: options.devices,
        notes: MemoryNotes.open(join(options.stateDir, "memory.json"), clock),
        ...config.devices,
        workers: () => [...this.#workers.values()].map(deskWorkerOf),
        isClosed: (device) => this.#context.quarantine.isClosed(device),
        clock,
        log,
      }),
      publishStep: (step) => this.#publishStep(step),
      publish: (change) => this.#publish(change),
      counts: workerCounts(options.metrics),
    };
    this.#sampler.start();
  }

  async recover(): Promise<RecoveryReport> {
    return await recoverAll(this.#context, (worker) => this.#workers.set(worker.facts.workerId, worker));
  }

  async spawn(request: SpawnRequest): Promise<{ readonly record: WorkerRecord; readonly created: boolean }> {
    const workerId = idOf(request.worker_id);
    const existing = this.#workers.get(workerId);
    if (existing !== undefined) return { record: await this.#again(existing, request), created: false };
    if (this.#isClosed)
      throw new QhError("shutting_down", "cannot spawn a worker: this hive is ending; ask again when it is back");
    checkSpawn(request, this.#workers.size, this.#options.config.limits);
    const { life } = newWorkerLife(request.spec.restart, request.spec.start.warmup);
    const worker = new Worker(
      this.#context,
      life,
      newWorkerFacts(workerId, request.queen_id, request.spec, this.#options.clock.nowMs()),
    );
    const beginning = worker.begin();
    this.#workers.set(workerId, worker);
    this.#beginning.set(workerId, beginning);
    try {
      await beginning;
      return { record: worker.record, created: true };
    } catch (error) {
      if (this.#workers.get(workerId) === worker) this.#workers.delete(workerId);
      throw error;
    } finally {
      this.#beginning.delete(workerId);
    }
  }

  list(): readonly WorkerRecord[] {
    return [...this.#workers.values()].map(({ record }) => record);
  }

  get(workerId: WorkerId): WorkerRecord | null {
    return this.#workers.get(workerId)?.record ?? null;
  }

  async stop(workerId: WorkerId, deadline: Deadline): Promise<WorkerStopAnswer> {
    const { clock } = this.#options;
    const startedMs = clock.monotonicMs();
    const { how } = await this.#worker(workerId).stop(deadline);
    return { worker_id: workerId, how, duration_ms: clock.monotonicMs() - startedMs };
  }

  doubt(workerId: WorkerId): void {
    this.#worker(workerId).doubt();
  }

  async drain(workerId: WorkerId): Promise<WorkerRecord> {
    const worker = this.#worker(workerId);
    await worker.tell({ type: "drain_requested" });
    return worker.record;
  }

  async stopAll(deadline: Deadline): Promise<HiveShutdownAnswer["workers"]> {
    this.#isClosed = true;
    const stops = [...this.#workers].map(async ([worker_id, worker]) => {
      const pid = worker.record.pid;
      try {
        const outcome = await worker.stop(deadline);
        return { worker_id, pid: outcome.pid, how: outcome.how };
      } catch (error) {
        this.#options.log.error("a worker is left", { error, worker_id, pid });
        return { worker_id, pid, how: "left" as const };
      }
    });
    return await Promise.all(stops);
  }

  async acceptReady(callback: WorkerReadyCallback, token: string | null): Promise<CallbackAnswer> {
    if (token === null)
      throw new QhError(
        "unauthenticated",
        "cannot accept ready: the worker's token is missing; send HIVE_CALLBACK_TOKEN as a bearer token",
      );
    const worker = this.#worker(idOf(callback.worker_id));
    const sha256 = sha256Of(token);
    const { life, facts } = worker;
    switch (tokenOwnerOf(facts, sha256)) {
      case "current":
        break;
      case "earlier":
        throw staleIncarnation(facts.workerId, `this token is of an incarnation before ${life.incarnation}`);
      case "nobody":
        if ([...this.#workers.values()].some((other) => tokenOwnerOf(other.facts, sha256) !== "nobody")) {
          throw new QhError("forbidden", `cannot accept ready for ${facts.workerId}: this is the token of another worker`);
        }
        throw new QhError("unauthenticated", `cannot accept ready for ${facts.workerId}: the token is not of this worker`);
    }
    const { phase } = life;
    if (phase.name === "crashed" || phase.name === "backing_off" || phase.name === "failed" || phase.name === "stopped") {
      throw staleIncarnation(facts.workerId, `incarnation ${life.incarnation} has ended`);
    }
    const { ready } = facts.spec.runtime;
    const callsBack = ready?.callback ?? (ready?.http === undefined && ready?.log === undefined);
    if (!callsBack) return { applied: false };
    const found = await readyFactsOf(callback, facts, this.#options);
    const { incarnation } = life;
    const event: WorkerEvent = (await listensOnLoopbackOnly(found.url))
      ? { type: "start_given_up", incarnation, cause: "listens_on_loopback_only" }
      : { type: "ready", incarnation, facts: found, atMs: this.#options.clock.nowMs() };
    return { applied: await worker.tell(event) };
  }

  async logTail(workerId: WorkerId, lines: number): Promise<readonly string[]> {
    return historyTail(this.#worker(workerId).paths.output, lines);
  }

  followLog(workerId: WorkerId, lines: number, signal: AbortSignal): AsyncIterable<string | Buffer> {
    return followLog(this.#worker(workerId).paths.output, lines, this.#options.clock, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#sampler[Symbol.dispose]();
    for (const worker of this.#workers.values()) worker[Symbol.dispose]();
  }

  async #again(worker: Worker, request: SpawnRequest): Promise<WorkerRecord> {
    const { facts, life } = worker;
    if (!isSameSpec(facts.spec, request.spec)) {
      throw new QhError(
        "spec_conflict",
        `cannot spawn ${facts.workerId}: it exists with another spec; stop it first or use a new worker_id`,
        {
          details: { worker_id: facts.workerId, incarnation: life.incarnation },
        },
      );
    }
    if (life.phase.name === "stopping" && life.phase.reason === "operator") {
      throw new QhError("worker_gone", `cannot spawn ${facts.workerId}: it is being stopped; use a new worker_id`);
    }
    await this.#beginning.get(facts.workerId);
    return worker.record;
  }

  #worker(workerId: WorkerId): Worker {
    const worker = this.#workers.get(workerId);
    if (worker === undefined)
      throw new QhError("worker_not_found", `cannot find ${workerId} on this hive; it may have been stopped`);
    return worker;
  }

  #publish(change: WorkerChange): void {
    const workerId = parseWorkerId(change.record.worker_id);
    if (change.removed && workerId !== null) this.#workers.delete(workerId);
    this.changes.publish(change);
  }

  #publishStep(step: WorkerStep): void {
    const { workerId, durationMs, ...rest } = step;
    this.#options.log.debug("a step of a stop is over", { worker_id: workerId, duration_ms: durationMs, ...rest });
    this.steps.publish(step);
  }

  /** Looks at all processes once, for everything that wants to know of them; returns what is to be measured. */
  #observe(): readonly ProcessTree[] {
    // Reading all processes costs milliseconds, which an idle hive need not spend.
    const table: ProcessTable = this.#workers.size === 0 ? new Map() : this.#context.views.table(0);
    for (const [worker_id, worker] of this.#workers) {
      try {
        worker.observe(table);
      } catch (error) {
        // One that cannot be looked at must not hide the others.
        this.#options.log.warn("cannot look at a worker's processes and output", { error, worker_id });
      }
    }
    const { log, config } = this.#options;
    this.#context.desk
      .observe(table, config.sampleEveryMs * DEVICE_ROUNDS)
      .catch((error: unknown) => log.warn("cannot note what models take of the devices", { error }));
    return [...this.#workers.values()].flatMap(({ life }) => {
      const process = processOf(life.phase);
      return process === null ? [] : [{ root: process.engine, pids: treeOf(table, process.shim) }];
    });
  }
}

/** Asking a GPU's driver starts a process: so many rounds may pass in between. */
const DEVICE_ROUNDS = 3;

function idOf(text: string): WorkerId {
  const workerId = parseWorkerId(text);
  if (workerId === null)
    throw new QhError("invalid_body", `cannot read ${JSON.stringify(text)} as a worker id; write worker-<uuid>`, {
      param: "/worker_id",
    });
  return workerId;
}

function staleIncarnation(workerId: WorkerId, why: string): QhError {
  return new QhError("stale_incarnation", `cannot accept ready for ${workerId}: ${why}`, { details: { worker_id: workerId } });
}
