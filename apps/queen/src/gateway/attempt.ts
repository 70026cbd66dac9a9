import { ChunkList, type Clock } from "@queen-and-hive/daemon";
import { formatDurationMs, QhError } from "@queen-and-hive/protocol";
import type { ReadyWorker, TrafficOutcome } from "../workers/worker-directory.ts";
import type { AnswerShare } from "./answer-budget.ts";
import type { ClientAnswer } from "./client-answer.ts";
import { callEngine, type EngineBreak, type EngineCall, type EngineListener, type EngineRequest } from "./engine-call.ts";
import type { EngineAccess } from "./engine-pools.ts";
import { answerOfErrorEvent } from "./error-event.ts";
import { EventRelay } from "./event-relay.ts";
import { type HeaderValues, headersForClient } from "./forwarded-headers.ts";
import type { GatewayRoute } from "./routes.ts";
import type { AnswerLimits } from "./settings.ts";
import { Silence } from "./silence.ts";
import type { TimeLimits } from "./time-limit.ts";
import type { UsageReader } from "./token-usage.ts";
import { encodingOf, type WholeAnswer } from "./whole-answer.ts";

/** How a try ended. */
export type AttemptOutcome =
  /** The answer has reached the client to its end. */
  | { readonly kind: "complete" }
  /** The engine has answered with something that is no event stream; nothing of it was sent yet. */
  | { readonly kind: "whole"; readonly answer: WholeAnswer }
  /** The engine has ended its event stream with an error of its own, without `[DONE]`; the client has it. */
  | { readonly kind: "failed_by_engine" }
  | {
      readonly kind: "failed";
      readonly error: QhError;
      /** What to tell the directory, or null when it was not the worker's doing. */
      readonly traffic: TrafficOutcome | null;
      /** Another worker may do better (as long as nothing of the answer has reached the client). */
      readonly retry: boolean;
    };

/** What one try works with. */
export interface AttemptParts {
  readonly engine: EngineAccess;
  readonly worker: ReadyWorker;
  readonly route: GatewayRoute;
  readonly request: EngineRequest;
  readonly answer: ClientAnswer;
  readonly held: AnswerShare;
  readonly usage: UsageReader;
  readonly times: TimeLimits;
  readonly limits: AnswerLimits;
  readonly clock: Clock;
  /** The request is being written to the engine. */
  readonly onSent: () => void;
  /** The first byte of the answer's body is here. */
  readonly onFirstByte: () => void;
  /** Headers and comment of ours for an answer that begins now. */
  readonly ourHeaders: () => { readonly headers: Readonly<Record<string, string>>; readonly comment: string };
}

/** One try of a request on one worker: from the connection to the last byte, or to what went wrong. */
export class Attempt implements EngineListener {
  readonly #parts: AttemptParts;
  readonly #settle: (outcome: AttemptOutcome) => void;
  readonly outcome: Promise<AttemptOutcome>;
  #call: EngineCall | null = null;
  #untilLost: Disposable | null = null;
  #over = false;
  #status = 0;
  #headers: HeaderValues = {};
  #events: EventRelay | null = null;
  #whole: ChunkList | null = null;
  #firstByte: Disposable | null = null;
  #idle: Silence | null = null;
  #tail: Disposable | null = null;
  #paused = false;

  constructor(parts: AttemptParts) {
    this.#parts = parts;
    const { promise, resolve } = Promise.withResolvers<AttemptOutcome>();
    this.outcome = promise;
    this.#settle = resolve;
  }

  /** Begins. */
  start(): void {
    const { worker, engine, request } = this.#parts;
    const lost = (): void => this.#fail(asError(worker.lost.reason), null, true);
    if (worker.lost.aborted) lost();
    else {
      this.#untilLost = engine.onLost.add(lost);
      this.#call = callEngine(engine.pool, request, this);
    }
  }

  /** The request has ended otherwise. */
  end(reason: QhError): void {
    this.#fail(reason, null, false);
  }

  /** Another worker had better be asked, unless something of this one's answer has reached the client. */
  giveUp(error: QhError): void {
    if (!this.#parts.answer.begun) this.#fail(error, null, true);
  }

  sent(): void {
    const { times, onSent } = this.#parts;
    onSent();
    this.#firstByte = times.firstByte.start(() => this.#timeOut("begin its answer", times.firstByte.limitMs));
  }

  head(status: number, headers: HeaderValues): void {
    this.#status = status;
    this.#headers = headers;
    if (isPlainEventStream(status, headers)) {
      this.#events = new EventRelay(this.#parts.limits.eventBytes, this.#parts.route.dialect);
    } else this.#whole = new ChunkList();
  }

  data(chunk: Buffer): void {
    const { clock, times, usage, onFirstByte } = this.#parts;
    if (this.#tail !== null) return;
    if (this.#idle === null) {
      onFirstByte();
      this.#firstByte?.[Symbol.dispose]();
      this.#idle = new Silence(clock, times.idle, () => {
        // While the client does not read we do not either: the silence is not the engine's.
        if (!this.#paused) this.#timeOut("go on with its answer", times.idle.limitMs);
      });
    }
    this.#idle.touch();
    usage.take(chunk);
    if (this.#events !== null) this.#takeEvents(this.#events, chunk);
    else if (this.#whole !== null) this.#takeWhole(this.#whole, chunk);
    else this.#pass([chunk]);
  }

  ended(): void {
    if (this.#events !== null) this.#endEvents(this.#events);
    else if (this.#whole === null) this.#complete(false);
    else
      this.#finish({
        kind: "whole",
        answer: { status: this.#status, headers: this.#headers, body: Buffer.concat(this.#whole.takeAll()) },
      });
  }

  broken(how: EngineBreak, cause: unknown): void {
    if (this.#events?.isDone === true) {
      this.#endEvents(this.#events);
      return;
    }
    const error =
      how === "connect_failed"
        ? new QhError("engine_unreachable", "cannot reach the worker of this model; try again", { cause })
        : new QhError("engine_failed", "cannot finish the answer: the engine closed the connection; try again", { cause });
    this.#fail(error, how, true);
  }

  #takeEvents(events: EventRelay, chunk: Buffer): void {
    const complete = events.take(chunk);
    if (complete.length > 0 && !this.#isRefusal(events, complete)) {
      this.#beginEvents();
      this.#pass(complete);
    }
    if (events.isOver && !this.#over) {
      // Nothing more of the answer will come; the connection is kept when the engine ends it in good order.
      this.#parts.answer.end();
      this.#idle?.[Symbol.dispose]();
      this.#tail ??= this.#parts.times.tail.start(() => this.#complete(true));
    }
    if (!this.#hold(events.pendingBytes) || !events.isOverfull) return;
    const message = `cannot pass on the answer: one event is larger than ${this.#parts.limits.eventBytes} bytes`;
    this.#fail(new QhError("engine_failed", message), "server_error", false);
  }

  /** An error as the very first event is an answer by itself, the status of which may still be said. */
  #isRefusal(events: EventRelay, complete: readonly Uint8Array[]): boolean {
    if (!events.hasFailed || this.#parts.answer.begun) return false;
    const answer = answerOfErrorEvent(complete, this.#headers);
    if (answer === null) return false;
    this.#finish({ kind: "whole", answer });
    this.#call?.cancel();
    return true;
  }

  #endEvents(events: EventRelay): void {
    const isPlain = this.#parts.route.dialect === "plain";
    const rest = events.end(isPlain);
    if (rest.length > 0 && this.#isRefusal(events, rest)) return;
    if (rest.length > 0 || isPlain || events.isDone) this.#beginEvents();
    for (const bytes of rest) this.#parts.answer.write(bytes);
    if (events.isDone || (isPlain && !events.hasFailed)) {
      this.#complete(false);
    } else if (events.hasFailed && this.#parts.answer.begun) {
      this.#finish({ kind: "failed_by_engine" });
    } else {
      const message = "cannot finish the answer: the engine ended its stream without [DONE]; try again";
      this.#fail(new QhError("engine_failed", message), "reset", true);
    }
  }

  #beginEvents(): void {
    const { answer, ourHeaders } = this.#parts;
    if (answer.begun) return;
    const { headers, comment } = ourHeaders();
    answer.beginEvents(this.#status, { ...headersForClient(this.#headers), ...headers }, comment);
  }

  #takeWhole(whole: ChunkList, chunk: Buffer): void {
    const { answer, limits, ourHeaders } = this.#parts;
    whole.add(chunk);
    if (!this.#hold(whole.bytes) || whole.bytes <= limits.wholeBytes) return;
    if (answer.committed) {
      const message = `cannot pass on the answer: it is no event stream and larger than ${limits.wholeBytes} bytes`;
      this.#fail(new QhError("engine_failed", message), "server_error", false);
      return;
    }
    this.#whole = null;
    answer.beginBytes(this.#status, { ...headersForClient(this.#headers), ...ourHeaders().headers });
    this.#pass(whole.takeAll());
    if (!this.#paused) this.#hold(0);
  }

  /** False: the answers of all requests would hold too much, and this one has ended. */
  #hold(bytes: number): boolean {
    try {
      this.#parts.held.hold(bytes);
      return true;
    } catch (error) {
      this.#fail(asError(error), null, false);
      return false;
    }
  }

  #pass(chunks: readonly Uint8Array[]): void {
    let keepsUp = true;
    for (const chunk of chunks) keepsUp = this.#parts.answer.write(chunk);
    if (keepsUp || this.#paused) return;
    this.#paused = true;
    this.#call?.pause();
    this.#parts.answer.onDrain(() => {
      this.#paused = false;
      if (this.#events === null && this.#whole === null) this.#hold(0);
      this.#idle?.touch();
      this.#call?.resume();
    });
  }

  #timeOut(what: string, limitMs: number): void {
    if (this.#events?.isDone === true && this.#events.lacksLineFeed) {
      this.#complete(true);
      return;
    }
    const message = `cannot wait longer than ${formatDurationMs(limitMs)} for the engine to ${what}`;
    this.#fail(new QhError("engine_timeout", message), "timeout", !this.#parts.answer.begun);
  }

  #complete(cancel: boolean): void {
    if (cancel) this.#call?.cancel();
    this.#parts.answer.end();
    this.#finish({ kind: "complete" });
  }

  #fail(error: QhError, traffic: TrafficOutcome | null, retry: boolean): void {
    if (this.#events?.isOver === true) this.#complete(true);
    else this.#finish({ kind: "failed", error, traffic, retry });
  }

  #finish(outcome: AttemptOutcome): void {
    if (this.#over) return;
    this.#over = true;
    this.#untilLost?.[Symbol.dispose]();
    this.#firstByte?.[Symbol.dispose]();
    this.#idle?.[Symbol.dispose]();
    this.#tail?.[Symbol.dispose]();
    if (outcome.kind === "failed") this.#call?.cancel();
    this.#settle(outcome);
  }
}

/** What is encoded although we asked for it as it is cannot be looked into: it is no stream of events. */
function isPlainEventStream(status: number, headers: HeaderValues): boolean {
  if (status < 200 || status > 299 || encodingOf(headers) !== null) return false;
  return /^text\/event-stream\b/i.test(String(headers["content-type"] ?? ""));
}

/** The try was an answer, and no error: errors come fast, and say nothing of how long an answer takes. */
export function isServed(outcome: AttemptOutcome): boolean {
  return outcome.kind === "complete" || (outcome.kind === "whole" && outcome.answer.status < 400);
}

function asError(reason: unknown): QhError {
  if (reason instanceof QhError) return reason;
  return new QhError("engine_failed", "cannot finish the answer: the worker was lost; try again", { cause: reason });
}
