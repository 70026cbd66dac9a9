import { errorBody, QhError } from "@queen-and-hive/protocol";
import type { Lease, QueuePlace } from "../dispatch/ticket.ts";
import { incarnationKey } from "../dispatch/worker-occupancy.ts";
import type { ReadyWorker, TrafficOutcome } from "../workers/worker-directory.ts";
import { Attempt, type AttemptOutcome } from "./attempt.ts";
import { ClientAnswer } from "./client-answer.ts";
import { conversationOf } from "./conversation.ts";
import type { ExchangeRequest, ExchangeSurroundings } from "./exchange-parts.ts";
import { headersForClient, headersForEngine } from "./forwarded-headers.ts";
import type { InferenceRequest } from "./inference-request.ts";
import type { RequestRow } from "./request-row.ts";
import { enginePath } from "./routes.ts";
import { Timeline } from "./timeline.ts";
import { UsageReader } from "./token-usage.ts";
import { errorOf, judgeAnswer, type WholeAnswer } from "./whole-answer.ts";

/** One request from its arrival to its end: it ends once, complete, with a well-formed error, or left by its client. */
export class Exchange {
  readonly #around: ExchangeSurroundings;
  readonly #given: ExchangeRequest;
  readonly #ending = new AbortController();
  readonly #timeline: Timeline;
  readonly #usage = new UsageReader();
  readonly #answer: ClientAnswer;
  readonly #excluded = new Set<string>();
  #inference: InferenceRequest | null = null;
  #worker: ReadyWorker | null = null;
  #attempts = 0;
  #errorKind: RequestRow["error_kind"] = null;
  #refusedStatus: number | null = null;

  constructor(around: ExchangeSurroundings, given: ExchangeRequest) {
    this.#around = around;
    this.#given = given;
    this.#timeline = new Timeline(around.clock);
    this.#answer = new ClientAnswer({
      response: given.response,
      requestId: given.requestId,
      dialect: given.route.dialect,
      clock: around.clock,
      keepAliveMs: around.stream.keepAliveMs,
      stallMs: around.stream.idleMs,
      onStall: () => {
        this.end(new QhError("client_closed", "cannot go on: the client does not read its answer"));
        this.#answer.cut();
      },
    });
  }

  /** Ends the request with this error unless it has ended; its client gets a well-formed end. */
  end(reason: QhError): void {
    this.#ending.abort(reason);
  }

  /** Cuts what is left, a client that does not take its end. */
  cut(): void {
    this.#answer.cut();
  }

  /**
   * Reads (with `read`), dispatches and answers the request. Resolves when the answer is over and handed to the operating
   * system. Rejects with a QhError as long as no status was sent: then the server says it.
   */
  async run(read: (signal: AbortSignal) => Promise<InferenceRequest>): Promise<void> {
    const { clientGone } = this.#given;
    const leave = (): void => this.end(new QhError("client_closed", "cannot answer: the client has left"));
    if (clientGone.aborted) leave();
    clientGone.addEventListener("abort", leave, { once: true });
    const total = this.#around.clock.after(this.#around.stream.totalMs, () =>
      this.end(new QhError("deadline_exceeded", "cannot finish the answer within the time limit of a request")),
    );
    try {
      this.#inference = await read(this.#ending.signal);
      await this.#serve(this.#inference);
    } catch (error) {
      this.#sayFailure(error);
    } finally {
      total[Symbol.dispose]();
      clientGone.removeEventListener("abort", leave);
      if (this.#answer.committed) await this.#answer.flushed();
      this.#answer.dispose();
    }
  }

  /** What is kept of it. */
  get row(): RequestRow {
    const { promptTokens, completionTokens } = this.#usage.read();
    return {
      request_id: this.#given.requestId,
      route: this.#given.route.name,
      model: this.#inference?.modelId ?? null,
      status: this.#refusedStatus ?? this.#given.response.statusCode,
      worker_id: this.#worker?.workerId ?? null,
      hive_id: this.#worker?.hiveId ?? null,
      attempts: this.#attempts,
      queue_ms: this.#timeline.waited.slotMs + this.#timeline.waited.loadMs,
      ttft_ms: this.#timeline.toFirstByteMs,
      duration_ms: this.#timeline.elapsedMs,
      error_kind: this.#errorKind,
      prompt_tokens: promptTokens,
      completion_tokens: completionTokens,
    };
  }

  /** Milliseconds of our own before the first byte, or null. */
  get overheadMs(): number | null {
    return this.#timeline.overheadMs;
  }

  async #serve(inference: InferenceRequest): Promise<void> {
    const { clock, stream } = this.#around;
    using _commit = inference.wantsStream
      ? clock.after(stream.commitAfterMs - this.#timeline.elapsedMs, () => this.#commit())
      : { [Symbol.dispose]: () => undefined };
    let place: QueuePlace | null = null;
    let lastError: QhError | null = null;
    for (;;) {
      const lease = await this.#lease(inference, place, lastError);
      place = lease.place;
      const outcome = await this.#attempt(inference, lease);
      lastError = this.#judge(outcome, lease.worker);
      if (lastError === null) return;
    }
  }

  #commit(): void {
    if (this.#answer.committed || !this.#answer.writable) return;
    this.#answer.commit({ "server-timing": this.#timeline.serverTiming });
  }

  async #lease(inference: InferenceRequest, place: QueuePlace | null, lastError: QhError | null): Promise<Lease> {
    const { dispatcher, metrics } = this.#around;
    const signal = this.#ending.signal;
    const lease = await dispatcher.lease(inference.modelId, {
      client: this.#given.client,
      session: () => conversationOf(this.#given, inference),
      excluded: this.#excluded,
      place,
      lastError,
      signal,
    });
    this.#timeline.waited = lease.place.waited;
    if (place === null) metrics.waited(lease.place.waited);
    this.#worker = lease.worker;
    this.#attempts += 1;
    return lease;
  }

  async #attempt(inference: InferenceRequest, lease: Lease): Promise<AttemptOutcome> {
    const { pools, stream, limits, clock, metrics } = this.#around;
    const { request, requestId, route } = this.#given;
    const { worker } = lease;
    const body = inference.bodyFor(worker.model);
    const startedMs = clock.monotonicMs();
    const attempt = new Attempt({
      pool: pools.of(worker),
      worker,
      route,
      request: {
        path: enginePath(route.path, worker.basePath),
        headers: headersForEngine(request.headers, { requestId, key: worker.key, body, dialect: route.dialect }),
        chunks: body.chunks,
      },
      answer: this.#answer,
      usage: this.#usage,
      stream,
      limits,
      clock,
      signal: this.#ending.signal,
      onSent: () => {
        this.#timeline.sent();
        if (lease.resumedAtMs !== null) metrics.resumed(clock.monotonicMs() - lease.resumedAtMs);
      },
      onFirstByte: () => this.#timeline.firstByte(),
      ourHeaders: () => this.#ourHeaders(),
    });
    attempt.start();
    const outcome = await attempt.outcome;
    lease.release(outcome.kind === "failed" ? null : clock.monotonicMs() - startedMs);
    return outcome;
  }

  #ourHeaders(): { headers: Record<string, string>; comment: string } {
    const { slotMs, loadMs } = this.#timeline.waited;
    return {
      headers: { "server-timing": this.#timeline.serverTiming },
      comment: `queen attempts=${this.#attempts} queue_ms=${Math.round(slotMs)} load_ms=${Math.round(loadMs)}`,
    };
  }

  /** Null when the request is over; the error that the next try has to do better than. Throws what ends the request. */
  #judge(outcome: AttemptOutcome, worker: ReadyWorker): QhError | null {
    const { directory } = this.#around;
    switch (outcome.kind) {
      case "complete":
        directory.report(worker, "ok");
        return null;
      case "failed_by_engine":
        directory.report(worker, "server_error");
        this.#errorKind = "engine_failed";
        this.#answer.failEvents(null);
        return null;
      case "whole":
        return this.#judgeWhole(outcome.answer, worker);
      case "failed":
        if (outcome.traffic !== null) this.#reportFailure(worker, outcome.traffic, outcome.error);
        this.#timeline.attemptFailed();
        if (!outcome.retry || !this.#mayTryAgain()) throw outcome.error;
        // A connection that was reset may have been an old one, closed by the engine while idle.
        if (outcome.traffic !== "reset" || this.#attempts > 1 || this.#hasAnother(worker)) this.#exclude(worker);
        return outcome.error;
    }
  }

  #judgeWhole(answer: WholeAnswer, worker: ReadyWorker): QhError | null {
    const verdict = judgeAnswer(answer, this.#given.route.answersJson);
    if (verdict.traffic !== null) this.#around.directory.report(worker, verdict.traffic);
    if (verdict.kind !== "deliver") {
      const retry = verdict.kind === "prefer_another" || verdict.retry;
      if (retry && this.#mayTryAgain() && this.#hasAnother(worker)) {
        this.#timeline.attemptFailed();
        this.#exclude(worker);
        return verdict.error;
      }
      if (verdict.kind === "refuse") throw verdict.error;
    }
    if (answer.status >= 500) this.#errorKind = "engine_failed";
    this.#deliver(answer);
    return null;
  }

  #reportFailure(worker: ReadyWorker, traffic: TrafficOutcome, error: QhError): void {
    this.#around.directory.report(worker, traffic);
    this.#around.log.warn("a worker has failed a request", {
      request_id: this.#given.requestId,
      worker_id: worker.workerId,
      hive_id: worker.hiveId,
      attempt: this.#attempts,
      traffic,
      error,
    });
  }

  #deliver(answer: WholeAnswer): void {
    if (!this.#answer.committed) {
      const headers = { ...headersForClient(answer.headers), ...this.#ourHeaders().headers };
      this.#answer.whole(answer.status, headers, answer.body);
      return;
    }
    const said = answer.status >= 400 ? errorOf(answer) : null;
    if (said === null) {
      throw new QhError("engine_failed", `cannot stream: the engine answered ${answer.status} without an event stream`);
    }
    this.#errorKind = "engine_failed";
    this.#answer.failEvents(said);
  }

  #mayTryAgain(): boolean {
    return !this.#answer.begun && this.#attempts < this.#around.retry.attempts && !this.#ending.signal.aborted;
  }

  #hasAnother(worker: ReadyWorker): boolean {
    const failed = incarnationKey(worker);
    const modelId = this.#inference?.modelId ?? "";
    return this.#around.directory.ready(modelId).some((other) => {
      const key = incarnationKey(other);
      return key !== failed && !this.#excluded.has(key);
    });
  }

  #exclude(worker: ReadyWorker): void {
    this.#excluded.add(incarnationKey(worker));
  }

  /** After the status was sent the error becomes an event; before, the server says it. */
  #sayFailure(error: unknown): void {
    const failure =
      error instanceof QhError
        ? error
        : new QhError("internal", "cannot answer: a fault of the queen; see her log", { cause: error });
    this.#errorKind = failure.kind;
    if (failure.kind === "internal")
      this.#around.log.error("request failed by a fault of ours", { error, request_id: this.#given.requestId });
    if (this.#answer.committed) {
      this.#answer.failEvents(errorBody(failure, this.#given.requestId));
      return;
    }
    this.#refusedStatus = failure.status;
    throw failure;
  }
}
