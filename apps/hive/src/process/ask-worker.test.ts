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
