import { QhError } from "@queen-and-hive/protocol";
import { visibleModels } from "./list-models.ts";
import type { QueenHandler, QueenView } from "./queen-view.ts";

/** `GET /v1/models/:model`, by id or alias. Throws `model_not_found` naming the models that this key may use. */
export function getModel(queen: QueenView): QueenHandler<"getModel"> {
  return async ({ identity, params }) => {
    const models = await visibleModels(queen, identity);
    const body = models.find((model) => model.id === params.model || model.aliases?.includes(params.model));
    if (body !== undefined) return { body };
    const known = models.length === 0 ? "no model is configured" : `use one of: ${models.map((model) => model.id).join(", ")}`;
    throw new QhError("model_not_found", `cannot find the model ${JSON.stringify(params.model)}; ${known}`, { param: "model" });
  };
}
