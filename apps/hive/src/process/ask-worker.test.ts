import { createServer, type RequestListener } from "node:http";
import { afterEach, expect, it } from "vitest";
import { askWorker } from "./ask-worker.ts";
import { askFirstToken } from "./first-token.ts";

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

async function serve(answer: RequestListener): Promise<string> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(() => {
    server.close();
    server.closeAllConnections();
  });
  const address = server.address();
  return `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`;
}

const never = new AbortController().signal;

/** Sends a piece every few milliseconds, so that the connection is never idle, and never ends. */
const dripping =
  (piece: string): RequestListener =>
  (_request, response) => {
    response.writeHead(200);
    const timer = setInterval(() => response.write(piece), 10);
    response.on("close", () => clearInterval(timer));
  };

it("waits for no answer that drips for ever", async () => {
  const url = await serve(dripping(" "));
  expect(await askWorker({ url, timeoutMs: 300, key: null }, never)).toBeNull();
});

it("waits for no token of an answer that drips for ever", async () => {
  const url = await serve(dripping(" "));
  expect(await askFirstToken({ url, model: "tiny", key: null, timeoutMs: 300, signal: never })).toBe("mute");
});

it("takes the status of an answer that is too long, and leaves", async () => {
  const url = await serve(dripping("x".repeat(100_000)));
  expect(await askWorker({ url, timeoutMs: 60_000, key: null }, never)).toEqual({ status: 200, body: null });
});

it("takes the status of an answer to a request for a token that never ends, and leaves", async () => {
  const url = await serve(dripping("x".repeat(300_000)));
  expect(await askFirstToken({ url, model: "tiny", key: null, timeoutMs: Number.POSITIVE_INFINITY, signal: never })).toBe(
    "token",
  );
});

it("reads characters that the network cuts in two", async () => {
  const progress = "lädt 模型 🐝";
  const bytes = Buffer.from(JSON.stringify({ progress }));
  const url = await serve(async (_request, response) => {
    for (const byte of bytes) await new Promise<void>((resolve) => response.write(Buffer.of(byte), () => setImmediate(resolve)));
    response.end();
  });
  expect(await askWorker({ url, timeoutMs: 60_000, key: null }, never)).toEqual({ status: 200, body: { progress } });
});

it("bounds an answer by its bytes, whatever characters they are", async () => {
  // 90,000 characters, and three times as many bytes.
  const long = await serve((_request, response) => response.end(JSON.stringify("模".repeat(90_000))));
  expect(await askWorker({ url: long, timeoutMs: 60_000, key: null }, never)).toEqual({ status: 200, body: null });
});

it("waits as long as it takes where no limit is set", async () => {
  const url = await serve((_request, response) => response.end("{}"));
  for (const timeoutMs of [Number.POSITIVE_INFINITY, 2 ** 31, 2 ** 40]) {
    expect(await askWorker({ url, timeoutMs, key: null }, never)).toEqual({ status: 200, body: {} });
  }
});
