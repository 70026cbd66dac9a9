import type { ModelRecord } from "@queen-and-hive/protocol";
import { allowedModels, type Identity } from "./identity.ts";
import type { QueenHandler, QueenView } from "./queen-view.ts";

/** `GET /v1/models`: the models that this key may use. */
export function listModels(queen: QueenView): QueenHandler<"listModels"> {
  return async ({ identity }) => ({ body: { object: "list", data: visibleModels(queen, identity) } });
}

/** The models of the configuration that a caller may use, as OpenAI describes them, with our `status`. */
export function visibleModels(queen: QueenView, identity: Identity): ModelRecord[] {
  const allowed = allowedModels(identity);
  return queen.models
    .filter((model) => allowed === "all" || allowed.includes(model.id) || model.aliases.some((alias) => allowed.includes(alias)))
    .map((model) => ({
      id: model.id,
      object: "model",
      created: model.created,
      owned_by: "queen-and-hive",
      status: queen.statusOf(model.id),
      aliases: [...model.aliases],
    }));
}
