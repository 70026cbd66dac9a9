import type { Clock, Metrics } from "@queen-and-hive/daemon";
import { QhError } from "@queen-and-hive/protocol";
import type { Engine } from "../domain/generation.ts";
import { type LifecycleEffect, type LifecycleEvent, LOADING, next, type WorkerLifecycle } from "../domain/lifecycle.ts";
import { OpenRequests } from "./open-requests.ts";
import { createWorkerMetrics, type WorkerMetrics } from "./worker-metrics.ts";

/** What the routes share: the state of the worker, its open requests, its name and its metrics. */
export class Serving {
  readonly modelId: string;
  readonly clock: Clock;
  readonly requests = new OpenRequests();
  readonly metrics: WorkerMetrics;
  /** When this worker began, in seconds since 1970. */
  readonly createdS: number;
  #lifecycle: WorkerLifecycle = LOADING;

  constructor(modelId: string, clock: Clock, metrics: Metrics) {
    this.modelId = modelId;
    this.clock = clock;
    this.createdS = Math.floor(clock.nowMs() / 1_000);
    this.metrics = createWorkerMetrics(metrics, () => this.load());
  }

  get lifecycle(): WorkerLifecycle {
    return this.#lifecycle;
  }

  /** The only place where the state changes. */
  apply(event: LifecycleEvent): readonly LifecycleEffect[] {
    const { state, effects } = next(this.#lifecycle, event);
    this.#lifecycle = state;
    return effects;
  }

  /** Throws `model_unavailable` while the model is loading and `shutting_down` when the worker stops. */
  requireEngine(): Engine {
    switch (this.#lifecycle.state) {
      case "ready":
        return this.#lifecycle.engine;
      case "loading": {
        const percent = Math.round(this.#lifecycle.progress * 100);
        throw new QhError("model_unavailable", `cannot answer yet: the model is ${percent} % loaded, try again later`, {
          retryAfterS: 1,
        });
      }
      case "stopping":
        throw shuttingDown();
    }
  }

  /** Slots in use and requests that wait for one. */
  load(): { readonly busy: number; readonly waiting: number } {
    return this.#lifecycle.state === "ready" ? this.#lifecycle.engine.load() : { busy: 0, waiting: 0 };
  }
}

/** What a client is told whose request meets the end of this worker. */
export function shuttingDown(): QhError {
  return new QhError("shutting_down", "cannot answer: this worker is being stopped, send the request again", { retryAfterS: 1 });
}
