import { QhError } from "@queen-and-hive/protocol";
import type { ModelTask } from "../config/settings.ts";
import type { GatewayRoute } from "./routes.ts";

/** A model of the configuration, by the names that clients may use. */
export interface ModelName {
  readonly id: string;
  readonly aliases: readonly string[];
  readonly task: ModelTask | null;
  /** Paths beside OpenAI's that its runtime serves. */
  readonly routes: readonly string[];
}

/** The models that a key may use: their ids, or all. */
export type AllowedModels = readonly string[] | "all";

/** Finds models by what clients call them. */
export class ModelCatalog {
  readonly #byName = new Map<string, ModelName>();
  readonly #ids: readonly string[];

  constructor(models: readonly ModelName[]) {
    this.#ids = models.map((model) => model.id);
    for (const model of models) {
      for (const name of [model.id, ...model.aliases]) this.#byName.set(name, model);
    }
  }

  /**
   * The id of the model that a client means. Throws `model_not_found`, naming the models that this key may use, and
   * `task_mismatch` or `route_not_found` when the model is for something else than this route.
   */
  resolve(name: string, allowed: AllowedModels, route: GatewayRoute): string {
    const model = this.#byName.get(name);
    if (model === undefined || !(allowed === "all" || allowed.includes(model.id) || allowed.includes(name))) {
      throw this.#notFound(name, allowed);
    }
    const { id, task, routes } = model;
    if (route.isListed && !routes.includes(route.path)) {
      const message = `cannot use the model ${JSON.stringify(id)} for ${route.path}: its runtime does not list that among its routes`;
      throw new QhError("route_not_found", message, { param: "model" });
    }
    if (task !== null && route.tasks !== null && !route.tasks.includes(task)) {
      throw new QhError(
        "task_mismatch",
        `cannot use the model ${JSON.stringify(id)} for ${route.path}: it is for the task ${task}, this route needs ${route.tasks.join(" or ")}`,
        { param: "model", details: { task } },
      );
    }
    return id;
  }

  #notFound(name: string, allowed: AllowedModels): QhError {
    const usable = allowed === "all" ? this.#ids : this.#ids.filter((known) => allowed.includes(known));
    const advice = usable.length === 0 ? "no model is configured for this key" : `use one of: ${usable.join(", ")}`;
    return new QhError("model_not_found", `cannot find the model ${JSON.stringify(name.slice(0, 256))}; ${advice}`, {
      param: "model",
    });
  }
}
