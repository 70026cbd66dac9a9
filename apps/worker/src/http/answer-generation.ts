import type { ServerResponse } from "node:http";
import { HANDLED, type HandlerAnswer, openSse, type SseWriter } from "@queen-and-hive/daemon";
import { errorBody, QhError, type RequestId } from "@queen-and-hive/protocol";
import { type AnswerHead, type AnswerShape, usageOf } from "../domain/answers.ts";
import type { GenerationOutcome, GenerationRequest } from "../domain/generation.ts";
import type { Serving } from "./serving.ts";

/** How a client wants its answer. */
export interface AnswerWishes {
  /** For the metrics. */
  readonly route: string;
  readonly shape: AnswerShape;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  /** Text that comes before what is generated. */
  readonly prefix: string;
}

/** The request that is answered. */
export interface AnsweredRequest {
  readonly requestId: RequestId;
  /** Aborted when the client leaves. */
  readonly signal: AbortSignal;
  readonly response: ServerResponse;
}

type Pieces = AsyncGenerator<string, GenerationOutcome, void>;

/** Generates and answers, whole or as a stream. Until the first piece of text every failure is thrown, so that it becomes a status. */
export function answerGeneration(
  serving: Serving,
  answered: AnsweredRequest,
  request: GenerationRequest,
  wishes: AnswerWishes,
): Promise<HandlerAnswer<unknown> | typeof HANDLED> {
  return countEnd(serving, wishes.route, answered.signal, () =>
    serving.requests.run(answered.signal, async (signal) => {
      const arrivedMs = serving.clock.monotonicMs();
      const head: AnswerHead = {
        id: `${wishes.shape.idPrefix}${answered.requestId.replace(/^req-/, "")}`,
        created: Math.floor(serving.clock.nowMs() / 1_000),
        model: serving.modelId,
      };
      const pieces = serving.requireEngine().generate(request, signal);
      const first = await pieces.next();
      serving.metrics.firstPiece.observe((serving.clock.monotonicMs() - arrivedMs) / 1_000);
      if (wishes.stream) {
        await stream(serving, answered, head, wishes, pieces, first);
        return HANDLED;
      }
      const { text, outcome } = await collect(pieces, first);
      serving.metrics.promptTokens.inc(outcome.promptTokens);
      return { body: wishes.shape.whole(head, wishes.prefix + text, outcome) };
    }),
  );
}

/** Counts how a request ends; what is thrown while the client is gone is a cancellation. */
export async function countEnd<T>(serving: Serving, route: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  try {
    const result = await work();
    serving.metrics.ended(route, signal.aborted ? "cancelled" : "completed");
    return result;
  } catch (error) {
    serving.metrics.ended(route, signal.aborted ? "cancelled" : "failed");
    throw error;
  }
}

async function collect(pieces: Pieces, first: IteratorResult<string, GenerationOutcome>) {
  let text = "";
  let step = first;
  while (step.done !== true) {
    text += step.value;
    step = await pieces.next();
  }
  return { text, outcome: step.value };
}

async function stream(
  serving: Serving,
  answered: AnsweredRequest,
  head: AnswerHead,
  wishes: AnswerWishes,
  pieces: Pieces,
  first: IteratorResult<string, GenerationOutcome>,
): Promise<void> {
  const { shape } = wishes;
  const writer = openSse(answered.response);
  try {
    send(writer, shape.first(head));
    if (wishes.prefix !== "") send(writer, shape.piece(head, wishes.prefix));
    let step = first;
    while (step.done !== true) {
      send(writer, shape.piece(head, step.value));
      step = await pieces.next();
    }
    serving.metrics.promptTokens.inc(step.value.promptTokens);
    send(writer, shape.last(head, step.value.finishReason));
    if (wishes.includeUsage) send(writer, shape.usage(head, usageOf(step.value)));
  } catch (error) {
    // The client has its 200 already: the failure becomes an event, and the stream still ends as it should.
    writer.send({ event: "error", data: errorBody(toQhError(error), answered.requestId) });
    writer.send({ data: "[DONE]" });
    writer.close();
    throw error;
  }
  writer.send({ data: "[DONE]" });
  writer.close();
}

function send(writer: SseWriter, data: object | null): void {
  if (data !== null) writer.send({ data });
}

function toQhError(error: unknown): QhError {
  if (error instanceof QhError) return error;
  return new QhError("engine_failed", "cannot finish this answer: the engine failed, its log says why", { cause: error });
}
