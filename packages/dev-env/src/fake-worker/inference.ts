import type { ServerResponse } from "node:http";
import { embeddingOf, usageOf, wishesOf } from "./answers.ts";
import { beginStream, ended, generate, sendEvent } from "./generate.ts";
import { sendJson } from "./json-answer.ts";
import { type Reply, replyTo } from "./reply.ts";
import type { FakeWorkerState } from "./state.ts";
import type { Ending, SeenRequest } from "./statistics.ts";

/** Which of OpenAI's two completion shapes an answer has. */
export type CompletionShape = "chat" | "text";

/** `POST /v1/chat/completions` and `/v1/completions`. Ends when the answer is sent or the client has left. */
export async function answerCompletion(
  shape: CompletionShape,
  state: FakeWorkerState,
  seen: SeenRequest,
  response: ServerResponse,
): Promise<Ending> {
  const reply = replyTo(state, seen);
  const { wishes, tokens, finish } = reply;
  const frame = shape === "chat" ? chatFrame(state, reply) : textFrame(state, reply);
  if (wishes.stream) {
    beginStream(state, response);
    if (frame.first !== null) sendEvent(response, frame.chunk(frame.first, null));
  }
  const answer = await generate(state, tokens, response, (token) => {
    if (wishes.stream) sendEvent(response, frame.chunk(frame.part(token), null));
  });
  if (typeof answer !== "object") return answer;
  const usage = usageOf(wishes.promptTokens, tokens.length);
  if (!wishes.stream) {
    response.setHeader("x-fake-worker", state.options.workerId);
    return await ended(response, () => sendJson(response, 200, frame.whole(answer.text, usage)));
  }
  sendEvent(response, frame.chunk(frame.last, finish));
  if (wishes.includeUsage) sendEvent(response, frame.usage(usage));
  return await ended(response, () => response.end("data: [DONE]\n\n"));
}

/** `POST /v1/embeddings` for a text or a list of texts. */
export async function answerEmbeddings(state: FakeWorkerState, seen: SeenRequest, response: ServerResponse): Promise<Ending> {
  const wishes = wishesOf(seen.body);
  const data = wishes.inputs.map((text, index) => ({
    object: "embedding",
    index,
    embedding: encoded(embeddingOf(text), wishes.base64),
  }));
  const usage = { prompt_tokens: wishes.promptTokens, total_tokens: wishes.promptTokens };
  return await ended(response, () =>
    sendJson(response, 200, { object: "list", model: wishes.model ?? state.options.model, data, usage }),
  );
}

/** OpenAI's own client asks for base64 unless told otherwise. */
function encoded(vector: readonly number[], base64: boolean): readonly number[] | string {
  return base64 ? Buffer.from(Float32Array.from(vector).buffer).toString("base64") : vector;
}

interface Frame {
  /** Of a stream: before the first token, or null; around each token; at the end. */
  readonly first: unknown;
  part(token: string): unknown;
  readonly last: unknown;
  chunk(part: unknown, finish: string | null): unknown;
  usage(usage: unknown): unknown;
  whole(text: string, usage: unknown): unknown;
}

function textFrame(state: FakeWorkerState, { model, finish }: Reply): Frame {
  const head = { id: "cmpl-fake", created: 0, model, system_fingerprint: state.options.workerId, object: "text_completion" };
  const choice = (text: unknown, finish_reason: string | null) => [{ index: 0, text, logprobs: null, finish_reason }];
  return {
    first: null,
    part: (token) => token,
    last: "",
    chunk: (text, reason) => ({ ...head, choices: choice(text, reason) }),
    usage: (usage) => ({ ...head, choices: [], usage }),
    whole: (text, usage) => ({ ...head, choices: choice(text, finish), usage }),
  };
}

function chatFrame(state: FakeWorkerState, { model, finish, tool }: Reply): Frame {
  const head = { id: "chatcmpl-fake", created: 0, model, system_fingerprint: state.options.workerId };
  const object = "chat.completion.chunk";
  const call = (text: string) => ({ id: "call_fake", type: "function", function: { name: tool, arguments: text } });
  const message = (text: string) => (tool === null ? { content: text } : { content: null, tool_calls: [call(text)] });
  const begun = tool === null ? { content: "" } : { content: null, tool_calls: [{ index: 0, ...call("") }] };
  return {
    first: { role: "assistant", ...begun },
    part: (token) => (tool === null ? { content: token } : { tool_calls: [{ index: 0, function: { arguments: token } }] }),
    last: {},
    chunk: (delta, finish_reason) => ({ ...head, object, choices: [{ index: 0, delta, finish_reason }] }),
    usage: (usage) => ({ ...head, object, choices: [], usage }),
    whole: (text, usage) => ({
      ...head,
      object: "chat.completion",
      choices: [{ index: 0, message: { role: "assistant", ...message(text) }, finish_reason: finish }],
      usage,
    }),
  };
}
