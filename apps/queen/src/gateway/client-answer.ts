import type { ServerResponse } from "node:http";
import type { CancelSignal, Clock } from "@queen-and-hive/daemon";
import { type ErrorKind, QhError } from "@queen-and-hive/protocol";
import { lastWords, type SaidError, type StreamDialect } from "../domain/stream-dialect.ts";
import { BodyWriter } from "./body-writer.ts";
import { Reading } from "./reading.ts";
import { Silence } from "./silence.ts";
import type { TimeLimit } from "./time-limit.ts";

/** Header values as Node takes them. */
export type AnswerHeaders = Readonly<Record<string, string | string[]>>;

/** What an answer is written with. */
export interface ClientAnswerParts {
  readonly response: ServerResponse;
  readonly requestId: string;
  readonly dialect: StreamDialect;
  readonly clock: Clock;
  /** Silence after which a comment is sent, once the headers of an event stream are out. */
  readonly keepAlive: TimeLimit;
  /** How long a client may refuse to read before it counts as gone. */
  readonly stallMs: number;
  /** The client has refused to read for `stallMs`. */
  readonly onStall: () => void;
  /** Where the request stands in the queue, as the words of a comment; empty when it waits for nothing. */
  readonly outlook: () => string;
}

const EVENT_STREAM_HEADERS = {
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-cache",
  "x-accel-buffering": "no",
};

/** How long the last words to a client whose request was ended may take. */
const LAST_WORDS_MS = 2_000;

/**
 * What the client gets. Headers are held as long as possible, so that a failure can still be a status: nothing is sent
 * until `commit` (comments only), `beginStream` or `whole`. What it writes to an event stream of its own always stands
 * between whole events, since the engine's are passed on whole.
 */
export class ClientAnswer {
  readonly #parts: ClientAnswerParts;
  readonly #body: BodyWriter;
  #reading: Reading | null = null;
  #keepAlive: Silence | null = null;
  #isEventStream = false;
  #begun = false;
  #isFlushing = false;

  constructor(parts: ClientAnswerParts) {
    this.#parts = parts;
    this.#body = new BodyWriter(parts.response);
  }

  /** The status line is out: a failure can no longer be a status. */
  get committed(): boolean {
    return this.#parts.response.headersSent;
  }

  /** The engine's answer has begun to reach the client: the request cannot be tried again. */
  get begun(): boolean {
    return this.#begun;
  }

  /** The client is there and its answer is not over. */
  get writable(): boolean {
    return !this.#parts.response.destroyed && !this.#parts.response.writableEnded;
  }

  /** Promises an event stream before the engine has said anything, and keeps it alive with comments. */
  commit(headers: AnswerHeaders): void {
    this.#writeHead(200, headers, EVENT_STREAM_HEADERS);
    this.#openEventStream();
    this.#comment();
  }

  /** The engine's event stream begins. After `commit` its headers are too late, and `comment` tells what they would have. */
  beginEvents(status: number, headers: AnswerHeaders, comment: string): void {
    if (this.committed) this.#writeText(`: ${comment}\n\n`);
    else {
      this.#writeHead(status, headers, { ...EVENT_STREAM_HEADERS, "content-type": contentType(headers) });
      this.#openEventStream();
    }
    this.#begun = true;
  }

  /** An answer that is too large to be held whole begins. */
  beginBytes(status: number, headers: AnswerHeaders): void {
    this.#writeHead(status, headers);
    this.#begun = true;
  }

  /** The next bytes of the engine. False: the client is slow, `onDrain` tells when to go on. */
  write(chunk: Uint8Array): boolean {
    this.#keepAlive?.touch();
    return this.writable ? this.#body.write(chunk) : true;
  }

  /** Calls `resume` once the client has read what was written. */
  onDrain(resume: () => void): void {
    const reading = this.#expectReading();
    this.#body.onDrain(() => {
      reading.expectNothing();
      resume();
    });
  }

  /** A whole answer at once. */
  whole(status: number, headers: AnswerHeaders, body: Uint8Array): void {
    this.#writeHead(status, headers, { "content-length": String(body.length) });
    this.#begun = true;
    this.end(body);
  }

  /** Ends a committed event stream with an error (null: the engine has said one already), as its dialect does. */
  failEvents(said: SaidError | null): void {
    if (this.#isEventStream) this.end(lastWords(this.#parts.dialect, said));
    // Half of a plain body cannot be ended well: its length, or its missing last chunk, says that it was cut.
    else this.#parts.response.destroy();
  }

  /** Ends the answer, with some last bytes. */
  end(last?: Uint8Array | string): void {
    this.dispose();
    if (!this.writable) return;
    if (last === undefined) this.#parts.response.end();
    else this.#parts.response.end(last);
  }

  /**
   * Resolves when all is handed to the operating system (null), or when the connection is gone before (why). What ends the
   * request now (`ending`) can only cut it; what has ended it before leaves its last words a moment; a stop lets it go on.
   */
  async flushed(ending: CancelSignal): Promise<ErrorKind | null> {
    const { response, clock } = this.#parts;
    this.dispose();
    // The operating system has it all, and Node says so a tick later.
    if (response.writableLength === 0) await new Promise<void>((resolve) => process.nextTick(resolve));
    if (!response.writableFinished && !response.closed && !response.destroyed) {
      this.#isFlushing = true;
      const cut = (): void => this.endLast(ending.reason);
      const lastWords = ending.aborted ? clock.after(LAST_WORDS_MS, cut) : null;
      ending.addEventListener("abort", cut, { once: true });
      this.#expectReading();
      await new Promise<void>((resolve) => {
        response.once("finish", resolve);
        response.once("close", resolve);
      });
      ending.removeEventListener("abort", cut);
      lastWords?.[Symbol.dispose]();
    }
    if (response.writableFinished) return null;
    return ending.reason instanceof QhError ? ending.reason.kind : "client_closed";
  }

  /** The request is ended although its answer is over: cuts what the client has not taken, except for a stop of the queen. */
  endLast(reason: unknown): void {
    if (this.#isFlushing && !(reason instanceof QhError && reason.kind === "shutting_down")) this.cut();
  }

  /** Cuts the connection, whatever is still unsent. */
  cut(): void {
    this.dispose();
    this.#parts.response.destroy();
  }

  /** Stops all timers. */
  dispose(): void {
    this.#keepAlive?.[Symbol.dispose]();
    this.#keepAlive = null;
  }

  #expectReading(): Reading {
    const { response, stallMs, onStall } = this.#parts;
    this.#reading ??= new Reading(response, stallMs, onStall);
    this.#reading.expect();
    return this.#reading;
  }

  #openEventStream(): void {
    const { clock, keepAlive } = this.#parts;
    this.#isEventStream = true;
    this.#keepAlive = new Silence(clock, keepAlive, () => {
      if (!this.#body.needsDrain) this.#comment();
    });
  }

  #comment(): void {
    this.#writeText(`: ${`keep-alive ${this.#parts.outlook()}`.trimEnd()}\n\n`);
  }

  #writeHead(status: number, headers: AnswerHeaders, more: AnswerHeaders = {}): void {
    const { response, requestId } = this.#parts;
    response.writeHead(status, { ...headers, ...more, "x-request-id": requestId });
  }

  #writeText(text: string): void {
    if (this.writable) this.#body.writeByNode(text);
  }
}

function contentType(headers: AnswerHeaders): string | string[] {
  return headers["content-type"] ?? EVENT_STREAM_HEADERS["content-type"];
}
