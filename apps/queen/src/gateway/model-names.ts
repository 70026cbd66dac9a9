import { QhError } from "@queen-and-hive/protocol";

/** A model of the configuration, by the names that clients may use. */
export interface ModelName {
  readonly id: string;
  readonly aliases: readonly string[];
}

/** The models that a key may use: their ids, or all. */
export type AllowedModels = readonly string[] | "all";

/** Finds models by what clients call them. */
export class ModelCatalog {
  readonly #idByName = new Map<string, string>();
  readonly #ids: readonly string[];

  constructor(models: readonly ModelName[]) {
    this.#ids = models.map((model) => model.id);
    for (const { id, aliases } of models) {
      for (const name of [id, ...aliases]) this.#idByName.set(name, id);
    }
  }

  /** The id of the model that a client means. Throws `model_not_found`, naming the models that this key may use. */
  resolve(name: string, allowed: AllowedModels): string {
    const id = this.#idByName.get(name);
    if (id !== undefined && (allowed === "all" || allowed.includes(id) || allowed.includes(name))) return id;
    const usable = allowed === "all" ? this.#ids : this.#ids.filter((known) => allowed.includes(known));
    const advice = usable.length === 0 ? "no model is configured for this key" : `use one of: ${usable.join(", ")}`;
    throw new QhError("model_not_found", `cannot find the model ${JSON.stringify(name.slice(0, 256))}; ${advice}`, {
      param: "model",
    });
  }
}
