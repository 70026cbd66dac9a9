import { Cancellation, type CancelSignal } from "@queen-and-hive/daemon";
import { errorBody, type OpenRequest, QhError, type RequestState } from "@queen-and-hive/protocol";
import type { Lease } from "../dispatch/ticket.ts";
import type { ReadyWorker } from "../workers/worker-directory.ts";
import { Attempt, type AttemptOutcome, isServed } from "./attempt.ts";
import { ClientAnswer } from "./client-answer.ts";
import type { ExchangeRequest, ExchangeSurroundings } from "./exchange-parts.ts";
import { headersForClient, headersForEngine } from "./forwarded-headers.ts";
import type { InferenceRequest } from "./inference-request.ts";
import { startReceiveLimit, startTotalLimit } from "./request-limits.ts";
import type { RequestRow } from "./request-row.ts";
import { enginePath } from "./routes.ts";
import { Timeline } from "./timeline.ts";
import { UsageReader } from "./token-usage.ts";
import { Tries } from "./tries.ts";
import { errorOf, judgeAnswer, type WholeAnswer } from "./whole-answer.ts";

/** One request from its arrival to its end: it ends once, complete, with a well-formed error, or left by its client. */
export class Exchange {
  readonly #around: ExchangeSurroundings;
  readonly #given: ExchangeRequest;
  readonly #ending = new Cancellation();
  readonly #timeline: Timeline;
  /** Of the present try: what a failed one has said is not the answer's. */
  #usage = new UsageReader();
  readonly #answer: ClientAnswer;
  readonly #tries: Tries;
  #inference: InferenceRequest | null = null;
  #attempt: Attempt | null = null;
  #endedBy: QhError | null = null;
  #errorKind: RequestRow["error_kind"] = null;
  #refusedStatus: number | null = null;

  constructor(around: ExchangeSurroundings, given: ExchangeRequest) {
    this.#around = around;
    this.#given = given;
    this.#tries = new Tries(around, given);
    this.#timeline = new Timeline(around.clock);
    this.#answer = new ClientAnswer({
      response: given.response,
      requestId: given.requestId,
      dialect: given.route.dialect,
      clock: around.clock,
      keepAlive: around.times.keepAlive,
      stallMs: around.stream.idleMs,
      outlook: () => this.#tries.outlook,
      onStall: () => {
        this.end(new QhError("client_closed", "cannot go on: the client does not read its answer"));
        this.#answer.cut();
      },
    });
  }

  /** Ends the request with this error unless it has ended; its client gets a well-formed end. */
  end(reason: QhError): void {
    if (this.#endedBy !== null) this.#answer.endLast(reason);
    this.#endedBy ??= reason;
    this.#ending.abort(reason);
    this.#attempt?.end(reason);
  }

  /** What can serve a model has changed: while its worker is in doubt and has not begun to answer, it goes to another. */
  reconsider(modelId: string): void {
    const { worker } = this.#tries;
    if (this.#inference?.modelId !== modelId || worker === null || !this.#around.directory.isDoubted(worker)) return;
    if (!this.#mayTryAgain() || !this.#hasAnother(worker)) return;
    this.#attempt?.giveUp(new QhError("engine_unreachable", "cannot wait for the worker: it may be lost; try again"));
  }

  /** Cuts what is left, a client that does not take its end. */
  cut(): void {
    this.#answer.cut();
  }

  /**
   * Reads (with `read`), dispatches and answers the request. Resolves when the answer is over and handed to the operating
   * system. Rejects with a QhError as long as no status was sent: then the server says it.
   */
  async run(read: (signal: CancelSignal) => Promise<InferenceRequest>): Promise<void> {
    const { request, response } = this.#given;
    const { clock, stream, times } = this.#around;
    const closed = (): void => {
      if (!response.writableFinished) this.end(new QhError("client_closed", "cannot answer: the client has left"));
    };
    if (response.closed) closed();
    else response.on("close", closed);
    using total = new DisposableStack();
    try {
      using _commit = times.commit.start(() => this.#commit());
      total.use(startTotalLimit(clock, stream.totalMs, request.headers, (late) => this.end(late)));
      this.#inference = await this.#read(read);
      await this.#serve(this.#inference);
    } catch (error) {
      this.#sayFailure(error);
    } finally {
      // Its limits hold until the last byte is out.
      const lostBy = this.#answer.committed ? await this.#answer.flushed(this.#ending) : null;
      this.#errorKind ??= lostBy;
      this.#answer.dispose();
    }
  }

  /** What operators see of it. */
  get record(): OpenRequest {
    return {
      request_id: this.#given.requestId,
      state: this.#state,
      route: this.#given.route.name,
      model: this.#inference?.modelId ?? null,
      client: this.#given.client,
      worker_id: this.#tries.worker?.workerId ?? null,
      hive_id: this.#tries.worker?.hiveId ?? null,
      attempts: this.#tries.count,
      since: new Date(this.#around.clock.nowMs() - this.#timeline.elapsedMs).toISOString(),
    };
  }

  /** What is kept of it. */
  get row(): RequestRow {
    const { promptTokens, completionTokens } = this.#usage.read();
    return {
      request_id: this.#given.requestId,
      route: this.#given.route.name,
      model: this.#inference?.modelId ?? null,
      status: this.#refusedStatus ?? this.#given.response.statusCode,
      worker_id: this.#tries.worker?.workerId ?? null,
      hive_id: this.#tries.worker?.hiveId ?? null,
      attempts: this.#tries.count,
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

  get #state(): RequestState {
    if (this.#inference === null) return "receiving";
    if (this.#answer.begun || this.#timeline.toFirstByteMs !== null) return "streaming";
    if (this.#tries.isPlaced) return "placed";
    return this.#around.directory.ready(this.#inference.modelId).length > 0 ? "queued" : "waiting_for_worker";
  }

  async #read(read: (signal: CancelSignal) => Promise<InferenceRequest>): Promise<InferenceRequest> {
    using _receive = startReceiveLimit(this.#around.times.receive, (late) => this.end(late));
    return await read(this.#ending);
  }

  async #serve(inference: InferenceRequest): Promise<void> {
    const { clock, stream } = this.#around;
    if (this.#timeline.elapsedMs >= stream.commitAfterMs) this.#commit();
    let lastError: QhError | null = null;
    do {
      const lease = await this.#tries.next(inference, lastError, this.#ending);
      this.#timeline.waited = lease.place.waited;
      lastError = await this.#try(inference, lease, clock.monotonicMs());
    } while (lastError !== null);
  }

  /** Null when the request is over; the error that the next try has to do better than. Throws what ends the request. */
  async #try(inference: InferenceRequest, lease: Lease, startedMs: number): Promise<QhError | null> {
    let servedMs: number | null = null;
    try {
      const outcome = await this.#ask(inference, lease);
      const tookMs = this.#around.clock.monotonicMs() - startedMs;
      const error = this.#judge(outcome, lease.worker);
      if (error !== null) this.#given.held.hold(0);
      else if (isServed(outcome)) servedMs = tookMs;
      return error;
    } finally {
      // Only now: whoever gets the slot next is chosen with what this try has told about the worker.
      lease.release(servedMs);
    }
  }

  #commit(): void {
    if (this.#inference?.wantsStream !== true || this.#answer.committed || !this.#answer.writable) return;
    this.#answer.commit({ "server-timing": this.#timeline.serverTiming });
  }

  #ask(inference: InferenceRequest, lease: Lease): Promise<AttemptOutcome> {
    const { pools, times, limits, clock, metrics } = this.#around;
    const { request, requestId, route } = this.#given;
    const { worker } = lease;
    const body = inference.bodyFor(worker.model);
    if (this.#attempt !== null) this.#usage = new UsageReader();
    const attempt = new Attempt({
      engine: pools.of(worker),
      worker,
      route,
      request: {
        path: enginePath(route.path, worker.basePath),
        headers: headersForEngine(request.headers, { requestId, key: worker.key, body, dialect: route.dialect }),
        chunks: body.chunks,
      },
      answer: this.#answer,
      held: this.#given.held,
      usage: this.#usage,
      times,
      limits,
      clock,
      onSent: () => {
        this.#timeline.sent();
        if (lease.resumedAtMs !== null) metrics.resumed(clock.monotonicMs() - lease.resumedAtMs);
      },
      onFirstByte: () => this.#timeline.firstByte(),
      ourHeaders: () => this.#timeline.ourHeaders(this.#tries.count),
    });
    this.#attempt = attempt;
    if (this.#endedBy === null) attempt.start();
    else attempt.end(this.#endedBy);
    return attempt.outcome;
  }

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
        if (outcome.traffic !== null) this.#tries.failed(outcome.traffic, outcome.error);
        this.#timeline.attemptFailed();
        if (!outcome.retry || !this.#mayTryAgain()) throw outcome.error;
        // A connection that was reset may have been an old one, closed by the engine while idle.
        if (outcome.traffic !== "reset" || this.#tries.count > 1 || this.#hasAnother(worker)) this.#tries.exclude(worker);
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
        this.#tries.exclude(worker);
        return verdict.error;
      }
      if (verdict.kind === "refuse") throw verdict.error;
    }
    if (answer.status >= 500) this.#errorKind = "engine_failed";
    this.#deliver(answer);
    return null;
  }

  #deliver(answer: WholeAnswer): void {
    if (!this.#answer.committed) {
      const headers = { ...headersForClient(answer.headers), ...this.#timeline.ourHeaders(this.#tries.count).headers };
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
    return !this.#answer.begun && this.#tries.mayGoOn && !this.#ending.aborted;
  }

  #hasAnother(worker: ReadyWorker): boolean {
    return this.#tries.hasAnother(this.#inference?.modelId ?? "", worker);
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
    if (this.#answer.writable) this.#given.response.setHeader("server-timing", this.#timeline.serverTiming);
    throw failure;
  }
}
