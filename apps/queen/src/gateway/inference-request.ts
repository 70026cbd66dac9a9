import type { IncomingMessage } from "node:http";
import { type CancelSignal, readChunks, requireJson } from "@queen-and-hive/daemon";
import { QhError } from "@queen-and-hive/protocol";
import { type BodyFields, type ByteSpan, JsonScanner } from "../domain/json-scanner.ts";
import type { BodyShare } from "./body-budget.ts";
import type { AllowedModels, ModelCatalog } from "./model-names.ts";
import { isMultipart, multipartFields } from "./multipart-fields.ts";
import type { GatewayRoute } from "./routes.ts";

/** What an engine is sent: the client's bytes, in the chunks in which they came. */
export interface EngineBody {
  readonly chunks: readonly Uint8Array[];
  readonly bytes: number;
  readonly contentType: string;
}

/** A checked request: everything but the model is the engine's business. */
export interface InferenceRequest {
  readonly modelId: string;
  /** The client asks for an event stream. */
  readonly wantsStream: boolean;
  /** What the client sent, in the chunks in which it came. */
  readonly chunks: readonly Uint8Array[];
  /** The body with the model under the name that the engine knows it by; nothing else is changed. */
  bodyFor(engineModel: string): EngineBody;
}

/** How a request is read. */
export interface ReadOptions {
  readonly route: GatewayRoute;
  readonly catalog: ModelCatalog;
  readonly allowed: AllowedModels;
  readonly bodyBytes: number;
  readonly share: BodyShare;
  readonly signal: CancelSignal;
}

/**
 * Reads and checks a body while it arrives. Throws `unsupported_media_type`, `body_too_large`, `malformed_json` (not JSON in
 * UTF-8), `invalid_body` (not an object), `model_required`, `model_not_found`, `task_mismatch`, and the signal's reason.
 */
export async function readInferenceRequest(request: IncomingMessage, options: ReadOptions): Promise<InferenceRequest> {
  const contentType = request.headers["content-type"] ?? "";
  if (options.route.isListed && isMultipart(contentType)) return await readForm(request, contentType, options);
  requireJson(request);
  const scanner = new JsonScanner();
  const chunks = await readChunks(request, options.bodyBytes, options.signal, (chunk) => {
    options.share.take(chunk.length);
    scanner.take(chunk);
  });
  return toInferenceRequest(chunks, scanner.end(), options);
}

/** Forms carry files: their bytes stay as they are. */
async function readForm(request: IncomingMessage, contentType: string, options: ReadOptions): Promise<InferenceRequest> {
  const chunks = await readChunks(request, options.bodyBytes, options.signal, (chunk) => options.share.take(chunk.length));
  const body = Buffer.concat(chunks);
  return toInferenceRequest([body], multipartFields(body, contentType), options, { contentType, write: (name) => name });
}

/** How the name of a model is written in a body. */
interface BodyForm {
  readonly contentType: string;
  readonly write: (name: string) => string;
}

const JSON_FORM: BodyForm = { contentType: "application/json", write: (name) => JSON.stringify(name) };

/** The checked fields of a body and its bytes -> the request that they are. Throws as `readInferenceRequest` does. */
export function toInferenceRequest(
  chunks: readonly Uint8Array[],
  { model, modelSpans, wantsStream }: BodyFields,
  { catalog, allowed, route }: Pick<ReadOptions, "catalog" | "allowed" | "route">,
  { contentType, write }: BodyForm = JSON_FORM,
): InferenceRequest {
  if (model === null || model === "") {
    throw new QhError("model_required", "cannot choose a model: the body must have the field model, a string that is not empty", {
      param: "model",
    });
  }
  const modelId = catalog.resolve(model, allowed, route);
  const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  return {
    modelId,
    wantsStream,
    chunks,
    bodyFor: (engineModel) => {
      // Also with the right name: of two different ones the engine might believe the other.
      if (modelSpans.length === 1 && model === engineModel) return { chunks, bytes, contentType };
      const replaced = replaceSpans(chunks, modelSpans, Buffer.from(write(engineModel)));
      return { chunks: replaced, bytes: replaced.reduce((sum, chunk) => sum + chunk.length, 0), contentType };
    },
  };
}

/** The chunks with each span replaced; what stays is not copied. Spans are in order and do not overlap. */
function replaceSpans(chunks: readonly Uint8Array[], spans: readonly ByteSpan[], value: Uint8Array): Uint8Array[] {
  const result: Uint8Array[] = [];
  let offset = 0;
  for (const chunk of chunks) {
    const end = offset + chunk.length;
    let at = offset;
    for (const span of spans) {
      if (span.end <= at || span.start >= end) continue;
      if (span.start > at) result.push(chunk.subarray(at - offset, span.start - offset));
      // A span that is cut by the end of a chunk is replaced where it begins.
      if (span.start >= offset) result.push(value);
      at = Math.min(span.end, end);
    }
    if (at < end) result.push(chunk.subarray(at - offset));
    offset = end;
  }
  return result;
}
