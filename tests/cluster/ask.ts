import { request as httpRequest } from "node:http";
import { text as readText } from "node:stream/consumers";
import { ERROR_KINDS, type ErrorBody, isErrorKind, type JournalEvent } from "@queen-and-hive/protocol";
import { expect } from "vitest";

/** A whole answer of a queen or hive. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/** A request as any client can send it: also headers that `fetch` does not let through, also a body that is no JSON. */
export interface Ask {
  readonly method?: string;
  readonly path?: string;
  /** Sent as it is when it is text, as JSON otherwise. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Sends one request, a chat when nothing else is said, and reads the answer to its end. */
export function ask(url: string, { method = "POST", path = "/v1/chat/completions", body, headers }: Ask): Promise<Answer> {
  const content = body === undefined || typeof body === "string" ? body : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const sent =
      content === undefined ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(content) };
    const outgoing = httpRequest(new URL(path, url), { method, headers: { ...sent, ...headers } }, (response) => {
      readText(response).then(
        (text) => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }),
        (error: unknown) => reject(error),
      );
    });
    outgoing.on("error", reject);
    outgoing.end(content);
  });
}

/** The body of a chat with one sentence of a user. */
export function chat(model: string, more: object = {}): object {
  return { model, messages: [{ role: "user", content: "What is a hive?" }], ...more };
}

/** A streamed answer that is read while it comes. */
export interface OpenStream {
  readonly status: number;
  /** Resolves when the engine's first event is there. */
  readonly begun: Promise<void>;
  /** Everything that came, once the stream has ended; rejects when the connection was cut. */
  readonly whole: Promise<string>;
}

/** Opens a streamed chat; resolves with its headers. */
export async function openStream(url: string, body: object): Promise<OpenStream> {
  const headers = { "content-type": "application/json" };
  const response = await fetch(`${url}/v1/chat/completions`, { method: "POST", headers, body: JSON.stringify(body) });
  const begun = Promise.withResolvers<void>();
  const read = async (): Promise<string> => {
    let text = "";
    for await (const chunk of (response.body ?? new ReadableStream<Uint8Array>()).pipeThrough(new TextDecoderStream())) {
      text += chunk;
      if (text.includes("data: ")) begun.resolve();
    }
    return text;
  };
  const whole = read();
  whole.catch(begun.reject);
  begun.promise.catch(() => undefined);
  return { status: response.status, begun: begun.promise, whole };
}

/** The `data:` of each event of a stream. */
export function dataOf(stream: string): readonly string[] {
  return stream.split("\n").flatMap((line) => (line.startsWith("data: ") ? [line.slice("data: ".length)] : []));
}

/** The words of a streamed chat, put together. */
export function contentOf(stream: string): string {
  return dataOf(stream)
    .filter((data) => data !== "[DONE]")
    .map((data) => JSON.parse(data).choices[0]?.delta?.content ?? "")
    .join("");
}

/** The error of an answer, or of an event in a stream, after checking that it has the one shape of this project. */
export function errorOf(text: string): ErrorBody["error"] {
  const { error }: ErrorBody = JSON.parse(text);
  expect(error).toMatchObject({ message: expect.stringMatching(/^cannot /), request_id: expect.stringMatching(/.+/) });
  expect(isErrorKind(error.code) && ERROR_KINDS[error.code].type).toBe(error.type);
  return error;
}

/** The queen's journal. */
export async function journalOf(url: string): Promise<readonly JournalEvent[]> {
  const { text } = await ask(url, { method: "GET", path: "/v2/events?follow=false&limit=10000" });
  return dataOf(text).map((data): JournalEvent => JSON.parse(data));
}

/** The states that the journal has of one worker, oldest first. */
export async function statesOf(url: string, workerId: string): Promise<readonly string[]> {
  const events = await journalOf(url);
  return events.flatMap(({ kind, worker_id, to }) => (kind === "worker.state" && worker_id === workerId && to ? [to] : []));
}
