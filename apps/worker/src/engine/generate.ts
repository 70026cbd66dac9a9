import { QhError } from "@queen-and-hive/protocol";
import type { FinishReason, GenerationOutcome, GenerationRequest } from "../domain/generation.ts";
import { StopMatcher } from "../domain/stop-matcher.ts";
import type { LlamaContextSequence, LlamaModel, SequenceEvaluateOptions, Token } from "./llama-library.ts";
import type { ReadPrompt } from "./prompt-reader.ts";
import { TextAssembler } from "./text-assembler.ts";

/** How many of the newest tokens the penalties look at (llama.cpp's `repeat_last_n`). */
const PENALTY_TOKENS = 64;

/** Throws `context_length_exceeded` when there is no room for one token of an answer. */
export function requireRoom(prompt: ReadPrompt, contextTokens: number): void {
  const length = prompt.tokens.length;
  if (length > 0 && length < contextTokens) return;
  if (length === 0) throw new QhError("invalid_body", "cannot continue an empty prompt: send at least one token");
  throw new QhError(
    "context_length_exceeded",
    `cannot answer: the prompt has ${length} tokens and this model's context holds ${contextTokens}: shorten the messages`,
    { details: { prompt_tokens: length, context_tokens: contextTokens } },
  );
}

/**
 * Generates into one sequence, reusing what its memory shares with the prompt. Looks at the signal after each batch of the
 * prompt and after each token, and throws its reason. The sequence must not be used by anyone else meanwhile.
 */
export async function* generateText(
  sequence: LlamaContextSequence,
  prompt: ReadPrompt,
  request: GenerationRequest,
  onToken: () => void,
  signal: AbortSignal,
): AsyncGenerator<string, GenerationOutcome, void> {
  const cachedTokens = await reuseMemory(sequence, prompt.tokens);
  const last = await evaluatePrompt(sequence, prompt.tokens.slice(cachedTokens), signal);
  const room = sequence.contextSize - prompt.tokens.length;
  const budget = Math.min(request.maxTokens ?? room, room);
  const text = new AnswerText(sequence.model, prompt, request.stop);
  const recent: Token[] = [];
  let completionTokens = 0;
  let finishReason: FinishReason = "stop";

  for await (const token of sequence.evaluate(last, evaluateOptions(request, recent))) {
    onToken();
    signal.throwIfAborted();
    completionTokens += 1;
    if (prompt.stopTokens.has(token) && !request.ignoreEnd) break;
    recent.push(token);
    if (recent.length > PENALTY_TOKENS) recent.shift();
    const piece = text.push(token);
    if (piece !== "") yield piece;
    signal.throwIfAborted();
    if (text.stopped) break;
    if (completionTokens >= budget) {
      finishReason = "length";
      break;
    }
  }
  const rest = text.flush();
  if (rest !== "") yield rest;
  return {
    finishReason: text.stopped ? "stop" : finishReason,
    promptTokens: prompt.tokens.length,
    cachedTokens,
    completionTokens,
  };
}

/** Text of an answer: whole characters, without leading space where it begins anew, and only up to a stop sequence. */
class AnswerText {
  readonly #assembler: TextAssembler;
  readonly #matcher: StopMatcher;
  #atStart: boolean;
  stopped = false;

  constructor(model: LlamaModel, prompt: ReadPrompt, stop: readonly string[]) {
    this.#assembler = new TextAssembler(model, prompt.tokens);
    this.#matcher = new StopMatcher([...prompt.stopTexts, ...stop]);
    this.#atStart = prompt.startsAnew;
  }

  push(token: Token): string {
    return this.#match(this.#assembler.push(token));
  }

  flush(): string {
    if (this.stopped) return "";
    const tail = this.#match(this.#assembler.flush());
    return this.stopped ? tail : tail + this.#matcher.flush();
  }

  #match(raw: string): string {
    const piece = this.#atStart ? raw.trimStart() : raw;
    if (piece === "") return "";
    this.#atStart = false;
    const match = this.#matcher.push(piece);
    this.stopped = match.stopped;
    return match.text;
  }
}

/** Keeps the longest common beginning in the sequence's memory; returns its length, always less than the prompt's. */
async function reuseMemory(sequence: LlamaContextSequence, tokens: readonly Token[]): Promise<number> {
  // At least the last token is evaluated again, since the next one is chosen from its result.
  await sequence.adaptStateToTokens(tokens.slice(0, -1), false);
  return sequence.nextTokenIndex;
}

/** Evaluates all but the last batch, so that a cancelled request does not evaluate a long prompt to its end; returns the rest. */
async function evaluatePrompt(sequence: LlamaContextSequence, tokens: readonly Token[], signal: AbortSignal): Promise<Token[]> {
  const batch = sequence.context.batchSize;
  let done = 0;
  while (tokens.length - done > batch) {
    signal.throwIfAborted();
    await sequence.evaluateWithoutGeneratingNewTokens(tokens.slice(done, done + batch));
    done += batch;
  }
  signal.throwIfAborted();
  return tokens.slice(done);
}

function evaluateOptions({ sampling, ignoreEnd }: GenerationRequest, recent: readonly Token[]): SequenceEvaluateOptions {
  const penalised = sampling.presencePenalty !== 0 || sampling.frequencyPenalty !== 0;
  return {
    temperature: sampling.temperature,
    yieldEogToken: ignoreEnd,
    topP: sampling.topP,
    topK: sampling.topK,
    minP: sampling.minP,
    // The library takes unsigned 32 bit seeds, and the present second where none is given.
    seed: sampling.seed === null ? (crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) : Math.trunc(sampling.seed) >>> 0,
    ...(penalised
      ? {
          repeatPenalty: {
            punishTokens: () => [...recent],
            maxPunishTokens: PENALTY_TOKENS,
            penalty: 1,
            presencePenalty: sampling.presencePenalty,
            frequencyPenalty: sampling.frequencyPenalty,
          },
        }
      : {}),
  };
}
