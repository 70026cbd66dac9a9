import { QhError } from "@queen-and-hive/protocol";
import type { ChatMessage, GenerationRequest, Prompt, Sampling } from "./generation.ts";
import type { ChatCompletionBody, CompletionBody } from "./inference-bodies.ts";

/** What llama.cpp's own server takes when a request does not say. */
const SAMPLING_DEFAULTS = { temperature: 0.8, topP: 0.95, topK: 40, minP: 0.05 } as const;
/** What `/v1/completions` generates when a request does not say (OpenAI's API reference). */
const COMPLETION_TOKENS_DEFAULT = 16;

type Message = ChatCompletionBody["messages"][number];
type Tuning = Pick<
  ChatCompletionBody,
  "temperature" | "top_p" | "top_k" | "min_p" | "seed" | "presence_penalty" | "frequency_penalty" | "stop"
>;

/** A chat body -> what the engine is asked. Throws `invalid_body` naming the field. */
export function readChatCompletion(body: ChatCompletionBody): GenerationRequest {
  refuseSeveralAnswers(body.n, "n");
  return {
    prompt: { kind: "chat", messages: body.messages.map(readMessage) },
    sampling: readSampling(body),
    maxTokens: body.max_completion_tokens ?? body.max_tokens ?? null,
    stop: readStop(body.stop),
    ignoreEnd: body.ignore_eos === true,
  };
}

/** A completion body -> what the engine is asked. Throws `invalid_body` naming the field. */
export function readCompletion(body: CompletionBody): GenerationRequest {
  refuseSeveralAnswers(body.n, "n");
  refuseSeveralAnswers(body.best_of, "best_of");
  return {
    prompt: readPrompt(body.prompt),
    sampling: readSampling(body),
    maxTokens: body.max_tokens ?? COMPLETION_TOKENS_DEFAULT,
    stop: readStop(body.stop),
    ignoreEnd: body.ignore_eos === true,
  };
}

function readMessage(message: Message, index: number): ChatMessage {
  return { role: readRole(message.role, index), text: readContent(message.content, index) };
}

function readRole(role: string, index: number): ChatMessage["role"] {
  switch (role) {
    case "system":
    case "developer":
      return "system";
    case "user":
      return "user";
    case "assistant":
      return "assistant";
    default:
      throw new QhError(
        "invalid_body",
        `cannot use a message with the role ${JSON.stringify(role)}: this engine reads system, developer, user and assistant`,
        { param: `/messages/${index}/role` },
      );
  }
}

function readContent(content: Message["content"], index: number): string {
  if (content === undefined || content === null) return "";
  if (typeof content === "string") return content;
  return content
    .map((part, place) => {
      if (part.type === "text" && part.text !== undefined) return part.text;
      throw new QhError(
        "invalid_body",
        `cannot read a content part of type ${JSON.stringify(part.type)}: this engine reads text only`,
        {
          param: `/messages/${index}/content/${place}`,
        },
      );
    })
    .join("\n");
}

function readPrompt(prompt: CompletionBody["prompt"]): Prompt {
  if (typeof prompt === "string") return { kind: "text", text: prompt };
  const numbers = prompt.filter((part) => typeof part === "number");
  if (numbers.length > 0) return { kind: "tokens", tokens: numbers };
  const [only, ...others] = prompt;
  if (typeof only === "string" && others.length === 0) return { kind: "text", text: only };
  throw new QhError("invalid_body", `cannot complete ${prompt.length} prompts at once: send one request for each`, {
    param: "/prompt",
  });
}

function readSampling(body: Tuning): Sampling {
  return {
    temperature: body.temperature ?? SAMPLING_DEFAULTS.temperature,
    topP: body.top_p ?? SAMPLING_DEFAULTS.topP,
    topK: body.top_k ?? SAMPLING_DEFAULTS.topK,
    minP: body.min_p ?? SAMPLING_DEFAULTS.minP,
    seed: body.seed ?? null,
    presencePenalty: body.presence_penalty ?? 0,
    frequencyPenalty: body.frequency_penalty ?? 0,
  };
}

function readStop(stop: Tuning["stop"]): readonly string[] {
  if (stop === undefined || stop === null) return [];
  return typeof stop === "string" ? [stop] : stop;
}

function refuseSeveralAnswers(count: number | null | undefined, param: string): void {
  if (count === undefined || count === null || count === 1) return;
  throw new QhError("invalid_body", `cannot give ${count} answers to one request: leave out "${param}" or send 1`, {
    param: `/${param}`,
  });
}
