import { QhError } from "@queen-and-hive/protocol";
import { replaceModel } from "./model-field.ts";
import type { AllowedModels, ModelCatalog } from "./model-names.ts";

/** A checked request: everything but the model is the engine's business. */
export interface InferenceRequest {
  readonly modelId: string;
  /** The client's bytes; only an alias is replaced by the model's id. */
  readonly body: Uint8Array;
  /** The client asks for an event stream. */
  readonly wantsStream: boolean;
}

/**
 * Checks a body. Throws `malformed_json` (not JSON in UTF-8), `invalid_body` (not an object), `model_required` and
 * `model_not_found`.
 */
export function parseInferenceRequest(body: Uint8Array, catalog: ModelCatalog, allowed: AllowedModels): InferenceRequest {
  const text = decode(body);
  const value = parseJson(text);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new QhError("invalid_body", "cannot accept the body: it must be a JSON object");
  }
  const model: unknown = ownField(value, "model");
  if (typeof model !== "string" || model === "") {
    throw new QhError("model_required", "cannot choose a model: the body must have the field model, a string that is not empty", {
      param: "model",
    });
  }
  const modelId = catalog.resolve(model, allowed);
  return {
    modelId,
    body: modelId === model ? body : new TextEncoder().encode(replaceModel(text, modelId)),
    wantsStream: ownField(value, "stream") === true,
  };
}

function decode(body: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(body);
  } catch (cause) {
    throw new QhError("malformed_json", "cannot read the body: it is not UTF-8; send JSON in UTF-8", { cause });
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new QhError("malformed_json", "cannot read the body as JSON; check its syntax and that it was sent whole", { cause });
  }
}

/** A field of the object itself: nothing that its prototype, or a `__proto__` in the body, brings. */
function ownField(value: object, name: string): unknown {
  return Object.hasOwn(value, name) ? Reflect.get(value, name) : undefined;
}
