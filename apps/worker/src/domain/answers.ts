import type { FinishReason, GenerationOutcome } from "./generation.ts";

/** What every object of one answer shares. `created` is in seconds since 1970. */
export interface AnswerHead {
  readonly id: string;
  readonly created: number;
  readonly model: string;
}

/** OpenAI's `usage`. */
export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly prompt_tokens_details: { readonly cached_tokens: number };
}

/** How the objects of a route are shaped: whole, and in the pieces of a stream. */
export interface AnswerShape {
  /** `chatcmpl-` or `cmpl-`: what ids begin with. */
  readonly idPrefix: string;
  /** The chunk before any text; null when the route has none. */
  first(head: AnswerHead): object | null;
  piece(head: AnswerHead, text: string): object;
  last(head: AnswerHead, finishReason: FinishReason): object;
  usage(head: AnswerHead, usage: Usage): object;
  whole(head: AnswerHead, text: string, outcome: GenerationOutcome): object;
}

/** An outcome -> OpenAI's `usage`. */
export function usageOf(outcome: GenerationOutcome): Usage {
  return {
    prompt_tokens: outcome.promptTokens,
    completion_tokens: outcome.completionTokens,
    total_tokens: outcome.promptTokens + outcome.completionTokens,
    prompt_tokens_details: { cached_tokens: outcome.cachedTokens },
  };
}

const chatChunk = (head: AnswerHead, choices: readonly object[]) => ({ ...head, object: "chat.completion.chunk", choices });
const chatDelta = (delta: object, finishReason: FinishReason | null) => [
  { index: 0, delta, logprobs: null, finish_reason: finishReason },
];

/** `chat.completion` and its chunks: the role first, then text, then the reason of the end. */
export const CHAT_SHAPE: AnswerShape = {
  idPrefix: "chatcmpl-",
  first: (head) => chatChunk(head, chatDelta({ role: "assistant", content: "" }, null)),
  piece: (head, text) => chatChunk(head, chatDelta({ content: text }, null)),
  last: (head, finishReason) => chatChunk(head, chatDelta({}, finishReason)),
  usage: (head, usage) => ({ ...chatChunk(head, []), usage }),
  whole: (head, text, outcome) => ({
    ...head,
    object: "chat.completion",
    choices: [
      {
        index: 0,
        message: { role: "assistant", content: text, refusal: null },
        logprobs: null,
        finish_reason: outcome.finishReason,
      },
    ],
    usage: usageOf(outcome),
  }),
};

const textObject = (head: AnswerHead, choices: readonly object[]) => ({ ...head, object: "text_completion", choices });
const textChoice = (text: string, finishReason: FinishReason | null) => [
  { index: 0, text, logprobs: null, finish_reason: finishReason },
];

/** `text_completion`, whole and in pieces. */
export const COMPLETION_SHAPE: AnswerShape = {
  idPrefix: "cmpl-",
  first: () => null,
  piece: (head, text) => textObject(head, textChoice(text, null)),
  last: (head, finishReason) => textObject(head, textChoice("", finishReason)),
  usage: (head, usage) => ({ ...textObject(head, []), usage }),
  whole: (head, text, outcome) => ({ ...textObject(head, textChoice(text, outcome.finishReason)), usage: usageOf(outcome) }),
};
