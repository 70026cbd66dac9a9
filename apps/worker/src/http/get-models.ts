import type { Handler } from "@queen-and-hive/daemon";
import type { WORKER_ENDPOINTS } from "../endpoints.ts";
import type { Serving } from "./serving.ts";

/** The one model of this worker, under the name that it was given. */
export function getModels(serving: Serving): Handler<(typeof WORKER_ENDPOINTS)["getModels"], true> {
  return () => {
    const { lifecycle } = serving;
    const context = lifecycle.state === "ready" ? { context_length: lifecycle.engine.contextTokens } : {};
    const model = { id: serving.modelId, object: "model", created: serving.createdS, owned_by: "queen-and-hive", ...context };
    return Promise.resolve({ body: { object: "list", data: [model] } });
  };
}
