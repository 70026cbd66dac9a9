import type { ServerResponse } from "node:http";
import { ended } from "./generate.ts";
import { sendJson } from "./json-answer.ts";
import { replyTo } from "./reply.ts";
import type { FakeWorkerState } from "./state.ts";
import type { Ending, SeenRequest } from "./statistics.ts";

/** `POST /v1/rerank` as vLLM, llama-server and Jina answer it: by how many words a document shares with the query. */
export async function answerRerank(state: FakeWorkerState, seen: SeenRequest, response: ServerResponse): Promise<Ending> {
  const { model, wishes } = replyTo(state, seen);
  const { query, documents } = rerankOf(seen.body);
  const words = new Set(query.toLowerCase().split(/\W+/));
  const results = documents
    .map((text, index) => {
      const shared = text
        .toLowerCase()
        .split(/\W+/)
        .filter((word) => words.has(word));
      return { index, document: { text }, relevance_score: shared.length / words.size };
    })
    .sort((one, other) => other.relevance_score - one.relevance_score);
  const usage = { prompt_tokens: wishes.promptTokens, total_tokens: wishes.promptTokens };
  return await ended(response, () => sendJson(response, 200, { id: "rerank-fake", model, results, usage }));
}

function rerankOf(body: unknown): { readonly query: string; readonly documents: readonly string[] } {
  const record: object = typeof body === "object" && body !== null ? body : {};
  const documents: unknown = Reflect.get(record, "documents");
  return { query: String(Reflect.get(record, "query") ?? ""), documents: Array.isArray(documents) ? documents.map(String) : [] };
}
