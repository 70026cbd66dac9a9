import type { ServerResponse } from "node:http";
import { beginStream, ended, generate, sendEvent } from "./generate.ts";
import { sendJson } from "./json-answer.ts";
import { type Reply, replyTo } from "./reply.ts";
import type { FakeWorkerState } from "./state.ts";
import type { Ending, SeenRequest } from "./statistics.ts";

/** `POST /v1/responses`, OpenAI's newer shape of an answer: text, streamed or not. */
export async function answerResponses(state: FakeWorkerState, seen: SeenRequest, response: ServerResponse): Promise<Ending> {
  const reply = { ...replyTo(state, seen), tool: null };
  const { wishes, tokens } = reply;
  let sequence_number = 0;
  const send = (name: string, data: object): void => {
    sendEvent(response, { type: name, sequence_number, ...data }, name);
    sequence_number += 1;
  };
  const place = { item_id: "msg_fake", output_index: 0, content_index: 0 };
  if (wishes.stream) {
    beginStream(state, response);
    send("response.created", { response: responseOf(reply, "in_progress", []) });
    send("response.output_item.added", { output_index: 0, item: itemOf("in_progress", []) });
    send("response.content_part.added", { ...place, part: partOf("") });
  }
  const answer = await generate(state, tokens, response, (token) => {
    if (wishes.stream) send("response.output_text.delta", { ...place, delta: token, logprobs: [] });
  });
  if (typeof answer !== "object") return answer;
  const item = itemOf("completed", [partOf(answer.text)]);
  const whole = responseOf(reply, "completed", [item]);
  if (!wishes.stream) return await ended(response, () => sendJson(response, 200, whole));
  send("response.output_text.done", { ...place, text: answer.text, logprobs: [] });
  send("response.content_part.done", { ...place, part: partOf(answer.text) });
  send("response.output_item.done", { output_index: 0, item });
  return await ended(response, () => {
    send("response.completed", { response: whole });
    response.end();
  });
}

function responseOf({ model, wishes, tokens }: Reply, status: string, output: readonly object[]): object {
  const input_tokens = wishes.promptTokens;
  const output_tokens = tokens.length;
  const usage = status === "completed" ? { input_tokens, output_tokens, total_tokens: input_tokens + output_tokens } : null;
  return {
    id: "resp_fake",
    object: "response",
    created_at: 0,
    status,
    model,
    output,
    error: null,
    incomplete_details: null,
    usage,
  };
}

function itemOf(status: string, content: readonly object[]): object {
  return { id: "msg_fake", type: "message", role: "assistant", status, content };
}

function partOf(text: string): object {
  return { type: "output_text", text, annotations: [], logprobs: [] };
}
