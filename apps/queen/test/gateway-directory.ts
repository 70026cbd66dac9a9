import { Broadcast } from "@queen-and-hive/daemon";
import { newWorkerId, parseHiveId, QhError } from "@queen-and-hive/protocol";
import type { WorkerStanding } from "../src/domain/scheduling.ts";
import type {
  EngineConnect,
  ModelFailure,
  ReadyWorker,
  TrafficOutcome,
  WorkerDirectory,
} from "../src/workers/worker-directory.ts";

/** A directory whose workers, and whose changes, a test makes by hand. It counts how often it was asked. */
export class HandMadeDirectory implements WorkerDirectory {
  readonly changes = new Broadcast<string>();
  readonly reports: { readonly worker: ReadyWorker; readonly outcome: TrafficOutcome }[] = [];
  readonly wanted: string[] = [];
  readonly idled: ReadyWorker[] = [];
  readonly standings = new Map<ReadyWorker, WorkerStanding>();
  readonly #doubted = new Set<ReadyWorker>();
  startingCount = 0;
  failureNow: ModelFailure | null = null;
  /** Called with each `want`. */
  onWant: (modelId: string) => void = () => undefined;
  readyCalls = 0;
  readonly #workers = new Map<string, ReadyWorker[]>();
  readonly #losses = new Map<ReadyWorker, AbortController>();

  ready(modelId: string): readonly ReadyWorker[] {
    this.readyCalls += 1;
    return this.#workers.get(modelId) ?? [];
  }

  starting(): number {
    return this.startingCount;
  }

  want(modelId: string): void {
    this.wanted.push(modelId);
    this.onWant(modelId);
  }

  failure(): ModelFailure | null {
    return this.failureNow;
  }

  report(worker: ReadyWorker, outcome: TrafficOutcome): void {
    this.reports.push({ worker, outcome });
  }

  standing(worker: ReadyWorker): WorkerStanding {
    return this.standings.get(worker) ?? "trusted";
  }

  isDoubted(worker: ReadyWorker): boolean {
    return this.#doubted.has(worker);
  }

  idle(worker: ReadyWorker): void {
    this.idled.push(worker);
  }

  /** A worker becomes ready, and everybody hears it. `sameAs`: it is another model of the same upstream. */
  add(
    modelId: string,
    worker: {
      readonly url: string;
      readonly slots?: number;
      readonly key?: string;
      readonly model?: string;
      readonly sameAs?: ReadyWorker;
      readonly connect?: EngineConnect;
    },
  ): ReadyWorker {
    const lost = new AbortController();
    const hiveId = parseHiveId("local");
    if (hiveId === null) throw new Error("local is a hive id");
    const ready: ReadyWorker = {
      workerId: worker.sameAs?.workerId ?? newWorkerId(),
      incarnation: 1,
      hiveId,
      url: worker.url,
      basePath: "/v1",
      model: worker.model ?? modelId,
      key: worker.key ?? null,
      overflow: false,
      slots: worker.slots ?? 4,
      lost: lost.signal,
      ...(worker.connect === undefined ? {} : { connect: worker.connect }),
    };
    this.#losses.set(ready, lost);
    this.#workers.set(modelId, [...(this.#workers.get(modelId) ?? []), ready]);
    this.changes.publish(modelId);
    return ready;
  }

  /** A worker's hive may be lost: nothing new goes there, and everybody hears it. */
  doubt(modelId: string, worker: ReadyWorker): void {
    this.#doubted.add(worker);
    this.#workers.set(
      modelId,
      this.ready(modelId).filter((other) => other !== worker),
    );
    this.changes.publish(modelId);
  }

  /** A worker is lost, and everybody hears it. */
  lose(modelId: string, worker: ReadyWorker): void {
    this.#workers.set(
      modelId,
      (this.#workers.get(modelId) ?? []).filter((other) => other !== worker),
    );
    this.#losses.get(worker)?.abort(new QhError("engine_failed", "cannot finish the answer: the worker has crashed; try again"));
    this.changes.publish(modelId);
  }

  /** The model cannot be had. */
  fail(modelId: string, failure: ModelFailure): void {
    this.failureNow = failure;
    this.changes.publish(modelId);
  }
}
