import type { Handler } from "@queen-and-hive/daemon";
import { QhError } from "@queen-and-hive/protocol";
import type { EmbeddingsBody } from "../domain/inference-bodies.ts";
import type { WORKER_ENDPOINTS } from "../endpoints.ts";
import { countEnd } from "./answer-generation.ts";
import type { Serving } from "./serving.ts";

/** Embeds one or several texts, as numbers or (as the official client asks for) as base64 of little-endian 32 bit floats. */
export function postEmbeddings(serving: Serving): Handler<(typeof WORKER_ENDPOINTS)["postEmbeddings"], true> {
  return ({ body, signal }) =>
    countEnd(serving, "embeddings", signal, () =>
      serving.requests.run(signal, async (ending) => {
        const { vectors, promptTokens } = await serving.requireEngine().embed(inputsOf(body.input), ending);
        requireDimensions(body.dimensions, vectors[0]?.length ?? 0);
        serving.metrics.promptTokens.inc(promptTokens);
        const data = vectors.map((vector, index) => ({
          object: "embedding",
          index,
          embedding: body.encoding_format === "base64" ? toBase64(vector) : vector,
        }));
        const usage = { prompt_tokens: promptTokens, total_tokens: promptTokens };
        return { body: { object: "list", data, model: serving.modelId, usage } };
      }),
    );
}

function inputsOf(input: EmbeddingsBody["input"]): readonly (string | readonly number[])[] {
  if (typeof input === "string") return [input];
  const numbers = input.filter((part) => typeof part === "number");
  if (numbers.length > 0) return [numbers];
  return input.filter((part) => typeof part !== "number");
}

function requireDimensions(wanted: number | null | undefined, present: number): void {
  if (wanted === undefined || wanted === null || wanted === present) return;
  throw new QhError(
    "invalid_body",
    `cannot give ${wanted} dimensions: this model's embeddings have ${present}, leave "dimensions" out`,
    {
      param: "/dimensions",
    },
  );
}

function toBase64(vector: readonly number[]): string {
  const bytes = Buffer.alloc(vector.length * 4);
  for (const [index, value] of vector.entries()) bytes.writeFloatLE(value, index * 4);
  return bytes.toString("base64");
}
