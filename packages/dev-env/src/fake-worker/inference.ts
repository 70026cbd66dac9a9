import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { answerTokens, embeddingOf, usageOf, type Wishes, wishesOf } from "./answers.ts";
import { sendJson } from "./json-answer.ts";
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
  const wishes = wishesOf(seen.body);
  const count = Math.min(state.options.tokens, wishes.maxTokens ?? Number.POSITIVE_INFINITY);
  const finish = wishes.maxTokens !== null && wishes.maxTokens < state.options.tokens ? "length" : "stop";
  const frame = frameOf(shape, state, wishes);
  if (wishes.stream) {
    response.writeHead(200, {
      "content-type": "text/event-stream",
      "cache-control": "no-cache",
      "x-fake-worker": state.options.workerId,
    });
    if (shape === "chat") sendEvent(response, frame.chunk({ role: "assistant", content: "" }, null));
  }
  const answer = await generate(state, count, response, (token) => {
    if (wishes.stream) sendEvent(response, frame.chunk(shape === "chat" ? { content: token } : token, null));
  });
  if (typeof answer !== "object") return answer;
  if (!wishes.stream) {
    response.setHeader("x-fake-worker", state.options.workerId);
    return await ended(response, () =>
      sendJson(response, 200, frame.whole(answer.text, finish, usageOf(wishes.promptTokens, count))),
    );
  }
  sendEvent(response, frame.chunk(shape === "chat" ? {} : "", finish));
  if (wishes.includeUsage) sendEvent(response, frame.usage(usageOf(wishes.promptTokens, count)));
  return await ended(response, () => response.end("data: [DONE]\n\n"));
}

/** `POST /v1/embeddings` for a text or a list of texts. */
export async function answerEmbeddings(state: FakeWorkerState, seen: SeenRequest, response: ServerResponse): Promise<Ending> {
  const wishes = wishesOf(seen.body);
  const data = wishes.inputs.map((text, index) => ({ object: "embedding", index, embedding: embeddingOf(text) }));
  const usage = { prompt_tokens: wishes.promptTokens, total_tokens: wishes.promptTokens };
  return await ended(response, () =>
    sendJson(response, 200, { object: "list", model: wishes.model ?? state.options.model, data, usage }),
  );
}

/** Hands out the tokens at the set rate; an ending when the client left or a fault cut the answer. */
async function generate(
  state: FakeWorkerState,
  count: number,
  response: ServerResponse,
  onToken: (token: string) => void,
): Promise<{ readonly text: string } | Ending> {
  const { tokenRate, faults } = state.options;
  let text = "";
  for (const [index, token] of answerTokens(count).entries()) {
    if (tokenRate > 0) await sleep(1_000 / tokenRate);
    if (response.destroyed) return "cancelled";
    onToken(token);
    text += token;
    state.statistics.tokensSent += 1;
    if (faults.dieAfterTokens === index + 1) await flushedThen(response, () => process.kill(process.pid, "SIGKILL"));
    if (faults.cutAfterTokens === index + 1) {
      await flushedThen(response, () => response.destroy());
      return "failed";
    }
  }
  return response.destroyed ? "cancelled" : { text };
}

/** Makes sure that the tokens before a fault reach the other side. */
async function flushedThen(response: ServerResponse, act: () => void): Promise<void> {
  if (response.headersSent) await new Promise<void>((resolve) => response.write(": cut\n\n", () => resolve()));
  act();
}

/** Sends the end of an answer and waits until it has left or the client has. */
async function ended(response: ServerResponse, send: () => void): Promise<Ending> {
  const over = once(response, "close");
  send();
  await over;
  return response.writableFinished ? "finished" : "cancelled";
}

function sendEvent(response: ServerResponse, data: unknown): void {
  response.write(`data: ${JSON.stringify(data)}\n\n`);
}

interface Frame {
  chunk(part: unknown, finish: string | null): unknown;
  usage(usage: unknown): unknown;
  whole(text: string, finish: string, usage: unknown): unknown;
}

function frameOf(shape: CompletionShape, state: FakeWorkerState, wishes: Wishes): Frame {
  const head = {
    id: `${shape === "chat" ? "chatcmpl" : "cmpl"}-fake`,
    created: 0,
    model: wishes.model ?? state.options.model,
    system_fingerprint: state.options.workerId,
  };
  if (shape === "text") {
    const choice = (text: unknown, finish_reason: string | null) => [{ index: 0, text, logprobs: null, finish_reason }];
    return {
      chunk: (text, finish) => ({ ...head, object: "text_completion", choices: choice(text, finish) }),
      usage: (usage) => ({ ...head, object: "text_completion", choices: [], usage }),
      whole: (text, finish, usage) => ({ ...head, object: "text_completion", choices: choice(text, finish), usage }),
    };
  }
  const object = "chat.completion.chunk";
  return {
    chunk: (delta, finish_reason) => ({ ...head, object, choices: [{ index: 0, delta, finish_reason }] }),
    usage: (usage) => ({ ...head, object, choices: [], usage }),
    whole: (content, finish_reason, usage) => ({
      ...head,
      object: "chat.completion",
      choices: [{ index: 0, message: { role: "assistant", content }, finish_reason }],
      usage,
    }),
  };
}
