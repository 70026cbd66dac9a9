import type { ModelRecord } from "@queen-and-hive/protocol";
import { allowedModels, type Identity } from "./identity.ts";
import type { QueenHandler, QueenView } from "./queen-view.ts";

/** `GET /v1/models`: the models that this key may use. */
export function listModels(queen: QueenView): QueenHandler<"listModels"> {
  return async ({ identity }) => ({ body: { object: "list", data: await visibleModels(queen, identity) } });
}

/** The models that a caller may use, as OpenAI describes them, with their status, context length and place. */
export async function visibleModels(queen: QueenView, identity: Identity): Promise<ModelRecord[]> {
  const allowed = allowedModels(identity);
  const visible = queen
    .models()
    .filter(({ id, aliases }) => allowed === "all" || [id, ...aliases].some((name) => allowed.includes(name)));
  return await Promise.all(
    visible.map(async ({ id, aliases, created }) => {
      const contextLength = await queen.contextLengthOf(id);
      return {
        id,
        object: "model" as const,
        created,
        owned_by: "queen-and-hive",
        status: queen.statusOf(id),
        aliases: [...aliases],
        ...(contextLength === null ? {} : { context_length: contextLength }),
        where: [...queen.whereIs(id)],
      };
    }),
  );
}
