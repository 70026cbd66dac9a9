import type { Clock, Log, Metrics } from "@queen-and-hive/daemon";
import { askModels } from "../gateway/engine-ask.ts";
import type { JournalEntry } from "../store/store.ts";
import type { ModelFailure, ReadyWorker, WorkerDirectory } from "../workers/worker-directory.ts";
import { WorkerTraffic } from "../workers/worker-traffic.ts";
import { Upstream, type UpstreamParts } from "./upstream.ts";
import type { UpstreamSettings } from "./upstream-settings.ts";

/** What the fleet of upstreams is made of. */
export interface UpstreamFleetOptions {
  readonly upstreams: readonly UpstreamSettings[];
  readonly health: UpstreamParts["health"];
  /** Told, with the model's id, after every change of what can serve a model. */
  readonly changed: (modelId: string) => void;
  readonly record: (event: JournalEntry) => void;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly log: Log;
}

/** All upstreams: who of them can serve which model. */
export class UpstreamFleet implements Disposable {
  readonly #options: UpstreamFleetOptions;
  readonly #upstreams: readonly Upstream[];
  readonly #traffic: WorkerTraffic;

  constructor(options: UpstreamFleetOptions) {
    const { health, clock, log, metrics } = options;
    const up = metrics.gauge("queen_upstream_up", "1 while an upstream answers", ["upstream"]);
    this.#options = options;
    this.#traffic = new WorkerTraffic({
      failuresMax: health.failures,
      isOutOfReach: () => false,
      onTrouble: () => undefined,
      onTrial: (worker) => this.#tellOf(worker),
      clock,
    });
    this.#upstreams = options.upstreams.map((settings) => {
      up.set({ upstream: settings.id }, 1);
      const changed = (upstream: Upstream, cause: string): void => {
        up.set({ upstream: settings.id }, upstream.isUp ? 1 : 0);
        this.#changed(upstream, cause);
      };
      return new Upstream({ settings, health, ask: askModels, changed, clock, log });
    });
  }

  /** Begins to check. */
  start(): void {
    for (const upstream of this.#upstreams) upstream.start();
  }

  /** The ids of all models that some upstream has. */
  get modelIds(): readonly string[] {
    return [...new Set(this.#upstreams.flatMap(({ settings }) => Object.keys(settings.models)))];
  }

  /** The state of each. */
  states(): readonly ("up" | "down")[] {
    return this.#upstreams.map(({ isUp }) => (isUp ? "up" : "down"));
  }

  /** Upstreams that are up and have a model. */
  ready(modelId: string): readonly ReadyWorker[] {
    const ready: ReadyWorker[] = [];
    for (const upstream of this.#upstreams) {
      const worker = upstream.ready(modelId);
      if (worker !== null) ready.push(worker);
    }
    return ready;
  }

  /** Why a model that only upstreams have cannot be had now; null while one is up. */
  failure(modelId: string): ModelFailure | null {
    const having = this.#upstreams.filter(({ settings }) => Object.hasOwn(settings.models, modelId));
    if (having.length === 0 || having.some((upstream) => upstream.isUp)) return null;
    return {
      cause: "upstream_unreachable",
      message: `cannot serve the model ${JSON.stringify(modelId)}: no upstream that has it answers`,
      retryAfterS: Math.max(1, Math.ceil(this.#options.health.retryMs / 1_000)),
    };
  }

  /** Workers of ours and upstreams as one directory. */
  joinedTo(fleet: WorkerDirectory, ownModels: readonly string[]): WorkerDirectory {
    const own = new Set(ownModels);
    return {
      ready: (modelId) => (own.has(modelId) ? [...fleet.ready(modelId), ...this.ready(modelId)] : this.ready(modelId)),
      starting: (modelId) => fleet.starting(modelId),
      want: (modelId) => {
        if (own.has(modelId)) fleet.want(modelId);
      },
      failure: (modelId) => {
        if (this.ready(modelId).length > 0) return null;
        return own.has(modelId) ? fleet.failure(modelId) : this.failure(modelId);
      },
      changes: fleet.changes,
      report: (worker, outcome) => {
        if (worker.hiveId !== null) fleet.report(worker, outcome);
        else this.#report(worker, outcome);
      },
      standing: (worker) => (worker.hiveId === null ? this.#traffic.standing(worker) : fleet.standing(worker)),
      isDoubted: (worker) => (worker.hiveId === null ? !this.#isUp(worker) : fleet.isDoubted(worker)),
      idle: (worker) => {
        if (worker.hiveId !== null) fleet.idle(worker);
      },
    };
  }

  [Symbol.dispose](): void {
    this.#traffic[Symbol.dispose]();
    for (const upstream of this.#upstreams) upstream[Symbol.dispose]();
  }

  /** Under our names for what the upstream calls the model. */
  #tellOf({ workerId, model }: ReadyWorker): void {
    const models = this.#upstreams.find(({ name }) => name === workerId)?.settings.models ?? {};
    for (const [modelId, name] of Object.entries(models)) if (name === model) this.#options.changed(modelId);
  }

  #isUp({ workerId }: ReadyWorker): boolean {
    return this.#upstreams.some(({ name, isUp }) => name === workerId && isUp);
  }

  #report(worker: ReadyWorker, outcome: Parameters<WorkerDirectory["report"]>[1]): void {
    this.#traffic.report(worker, outcome);
    if (outcome !== "connect_failed" && outcome !== "timeout") return;
    this.#upstreams.find(({ name }) => name === worker.workerId)?.doubt();
  }

  #changed({ name, settings, isUp }: Upstream, cause: string): void {
    const { record, changed, log } = this.#options;
    const [from, to] = isUp ? ["down", "up"] : ["up", "down"];
    try {
      record({ kind: "upstream.state", actor: "queen", from, to, cause, details: { upstream: settings.id } });
    } catch (error) {
      log.error("cannot record the state of an upstream", { error, upstream: name });
    }
    for (const modelId of Object.keys(settings.models)) changed(modelId);
  }
}
