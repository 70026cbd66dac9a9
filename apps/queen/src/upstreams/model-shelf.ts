import type { Clock } from "@queen-and-hive/daemon";
import type { ModelRecord } from "@queen-and-hive/protocol";
import type { ModelSettings } from "../config/settings.ts";
import { ContextLengths } from "../gateway/context-lengths.ts";
import type { WorkerDirectory } from "../workers/worker-directory.ts";
import type { UpstreamFleet } from "./upstream-fleet.ts";

type ServedModel = Pick<ModelSettings, "id" | "aliases" | "task" | "routes" | "created">;
type ModelStatus = NonNullable<ModelRecord["status"]>;

/** What the shelf is made of. */
export interface ModelShelfParts {
  readonly models: readonly ModelSettings[];
  readonly upstreams: UpstreamFleet;
  /** Workers and upstreams together. */
  readonly directory: WorkerDirectory;
  /** The state of a model as our workers have it. */
  readonly statusOf: (modelId: string) => ModelStatus;
  readonly clock: Clock;
}

/** Every model that clients may ask for: those of the configuration, and those that only upstreams have. */
export class ModelShelf {
  readonly served: readonly ServedModel[];
  readonly #parts: ModelShelfParts;
  readonly #own: ReadonlySet<string>;
  readonly #contextLengths: ContextLengths;

  constructor(parts: ModelShelfParts) {
    const created = Math.floor(parts.clock.nowMs() / 1_000);
    this.#parts = parts;
    this.#own = new Set(parts.models.map(({ id }) => id));
    const others = parts.upstreams.modelIds.filter((id) => !this.#own.has(id));
    this.served = [...parts.models, ...others.map((id) => ({ id, aliases: [], task: null, routes: [], created }))];
    this.#contextLengths = new ContextLengths(parts.directory, parts.clock);
  }

  /** What a client may expect of a model now. */
  statusOf(modelId: string): ModelStatus {
    if (this.#parts.directory.ready(modelId).length > 0) return "loaded";
    return this.#own.has(modelId) ? this.#parts.statusOf(modelId) : "failed";
  }

  /** The state of each upstream. */
  upstreams(): readonly ("up" | "down")[] {
    return this.#parts.upstreams.states();
  }

  /** The hives and `upstream:<id>`s that can serve a model now. */
  whereIs(modelId: string): readonly string[] {
    return [...new Set(this.#parts.directory.ready(modelId).map(({ hiveId, workerId }) => hiveId ?? workerId))];
  }

  /** The tokens that fit into a request, where a loaded engine has said so. */
  contextLengthOf(modelId: string): Promise<number | null> {
    return this.#contextLengths.of(modelId);
  }
}
