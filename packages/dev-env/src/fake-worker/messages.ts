import type { ServerResponse } from "node:http";
import { beginStream, ended, generate, sendEvent } from "./generate.ts";
import { sendJson } from "./json-answer.ts";
import { type Reply, replyTo } from "./reply.ts";
import type { FakeWorkerState } from "./state.ts";
import type { Ending, SeenRequest } from "./statistics.ts";

/** `POST /v1/messages`, Anthropic's shape of a chat: text or the call of a tool, streamed or not. */
export async function answerMessages(state: FakeWorkerState, seen: SeenRequest, response: ServerResponse): Promise<Ending> {
  const reply = replyTo(state, seen);
  const { wishes, tokens } = reply;
  const send = (name: string, data: object): void => sendEvent(response, { type: name, ...data }, name);
  if (wishes.stream) {
    beginStream(state, response);
    send("message_start", { message: { ...messageOf(reply, []), stop_reason: null, usage: usageOf(reply, 1) } });
    send("content_block_start", { index: 0, content_block: blockOf(reply, "") });
  }
  const answer = await generate(state, tokens, response, (token) => {
    const delta = reply.tool === null ? { type: "text_delta", text: token } : { type: "input_json_delta", partial_json: token };
    if (wishes.stream) send("content_block_delta", { index: 0, delta });
  });
  if (typeof answer !== "object") return answer;
  if (!wishes.stream)
    return await ended(response, () => sendJson(response, 200, messageOf(reply, [blockOf(reply, answer.text)])));
  send("content_block_stop", { index: 0 });
  const { stop_reason, stop_sequence, usage } = messageOf(reply, []);
  send("message_delta", { delta: { stop_reason, stop_sequence }, usage: { output_tokens: usage.output_tokens } });
  return await ended(response, () => {
    send("message_stop", {});
    response.end();
  });
}

function messageOf(reply: Reply, content: readonly object[]) {
  return {
    id: "msg_fake",
    type: "message",
    role: "assistant",
    model: reply.model,
    content,
    stop_reason: STOP_REASONS[reply.finish],
    stop_sequence: null,
    usage: usageOf(reply, reply.tokens.length),
  };
}

function blockOf({ tool }: Reply, text: string): object {
  if (tool === null) return { type: "text", text };
  return { type: "tool_use", id: "toolu_fake", name: tool, input: text === "" ? {} : JSON.parse(text) };
}

function usageOf({ wishes }: Reply, outputTokens: number) {
  return { input_tokens: wishes.promptTokens, output_tokens: outputTokens };
}

const STOP_REASONS: Readonly<Record<Reply["finish"], string>> = {
  stop: "end_turn",
  length: "max_tokens",
  tool_calls: "tool_use",
};
