import type { Socket } from "node:net";
import {
  HEALTH_MS_MAX,
  HealthSampler,
  httpAnswer,
  RawEngine,
  STREAM_HEAD,
  startTestQueen,
  type TestQueen,
} from "@queen-and-hive/dev-env";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { COMPLETION, DONE, token } from "./gateway-engine.ts";

const WHOLE = JSON.stringify(COMPLETION);

let engine: RawEngine;
let queen: TestQueen;

beforeAll(async () => {
  engine = await RawEngine.start();
  queen = await startTestQueen({
    hives: [],
    config: {
      upstreams: [{ id: "bad", url: `${engine.url}/v1`, models: { chat: "chat" }, presence: "best_effort" }],
      health: { interval: "1h", retry: "1h" },
      retry: { attempts: 1 },
      stream: { first_byte: "2s", idle: "2s" },
    },
  });
});

afterAll(async () => {
  process.stdout.write(`slowest /health: ${worst.ms.toFixed(1)} ms, during: ${worst.during}\n`);
  await queen?.[Symbol.asyncDispose]();
  await engine?.[Symbol.asyncDispose]();
});

let health: HealthSampler;
let worst: { readonly ms: number; readonly during: string } = { ms: 0, during: "none" };

beforeEach(() => {
  health = new HealthSampler(queen.url);
});

// All the while. Machines are shared: the bound is for what blocks, and the figure for people.
afterEach(async ({ task }) => {
  const seen = await health.stop();
  if (seen.worstMs > worst.ms) worst = { ms: seen.worstMs, during: task.name };
  expect(seen.failures).toEqual([]);
  expect(seen.worstMs).toBeLessThan(HEALTH_MS_MAX);
});

/** Asks the queen while the engine behaves as told. */
async function ask(behaviour: (socket: Socket) => void, stream: boolean): Promise<{ status: number; text: string }> {
  engine.behaviour = behaviour;
  const answer = await fetch(`${queen.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "chat", messages: [], stream }),
  });
  return { status: answer.status, text: await answer.text() };
}

const says = (bytes: string) => (socket: Socket) => void socket.end(bytes);

describe("an engine that answers nonsense gets one clear error to the client", () => {
  it.each<[string, (socket: Socket) => void, number, string]>([
    ["a page of HTML", says(httpAnswer("<html>welcome</html>", "200 OK", "text/html")), 502, "text/html where JSON is due"],
    ["a page of HTML as an error", says(httpAnswer("<html>no</html>", "500 Oops", "text/html")), 502, "answered 500 without"],
    ["half a JSON, its connection cut", says(httpAnswer(WHOLE).slice(0, -30)), 502, "closed the connection"],
    ["half a JSON in good order", says(httpAnswer(WHOLE.slice(0, -30))), 502, "answer is cut"],
    ["nothing in good order", says(httpAnswer("", "200 OK", "application/json")), 502, "answer is cut"],
    ["an error with status 200", says(httpAnswer('{"error":{"message":"no GPU"}}')), 502, "an error: no GPU"],
    [
      "a redirect",
      says("HTTP/1.1 307 Elsewhere\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"),
      502,
      "a redirect",
    ],
    ["JSON in another encoding", says(httpAnswer(WHOLE).replace("\r\n", "\r\ncontent-encoding: br\r\n")), 502, "encoded with br"],
    [
      "an error in another encoding",
      says(httpAnswer("???", "422 No").replace("\r\n", "\r\ncontent-encoding: gzip\r\n")),
      502,
      "encoded with gzip",
    ],
    ["events in another encoding", says(STREAM_HEAD.replace("\r\n", "\r\ncontent-encoding: gzip\r\n")), 502, "encoded with gzip"],
    ["a refused key", says(httpAnswer('{"error":{"message":"who?"}}', "401 No")), 502, "does not accept the key"],
    ["a route that it does not have", says(httpAnswer('{"detail":"Not Found"}', "404 No")), 404, "answered 404 for this route"],
    ["no HTTP", says("SSH-2.0-OpenSSH_9.2\r\n"), 502, "closed the connection"],
    ["a flood of headers", says(`HTTP/1.1 200 OK\r\nx-flood: ${"x".repeat(100_000)}\r\n\r\n`), 502, "closed the connection"],
    ["chunks of no size", says("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nnothing\r\n"), 502, "closed the connection"],
    ["a reset before the first byte", (socket) => void socket.resetAndDestroy(), 502, "closed the connection"],
    [
      "a reset after the headers",
      (socket) => void socket.write(STREAM_HEAD, () => socket.resetAndDestroy()),
      502,
      "cannot finish the answer",
    ],
    ["nothing for ever", () => undefined, 504, "longer than 2s for the engine to begin"],
  ])("%s", async (_what, behaviour, status, message) => {
    for (const stream of [false, true]) {
      const answer = await ask(behaviour, stream);
      expect(JSON.parse(answer.text)).toMatchObject({
        error: { message: expect.stringContaining(message), request_id: expect.stringMatching(/./) },
      });
      expect(answer.status).toBe(status);
    }
  });

  it("and a redirect is not followed", async () => {
    const before = engine.posts;
    await ask(says(`HTTP/1.1 302 Here\r\nlocation: ${engine.url}/v1/chat/completions\r\ncontent-length: 0\r\n\r\n`), false);
    expect(engine.posts).toBe(before + 1);
  });

  it("an error as the first event of a stream is the status that it should have been", async () => {
    const error = 'data: {"error":{"message":"too long","code":400}}\n\n';
    const answer = await ask(says(STREAM_HEAD + error), true);
    expect([answer.status, JSON.parse(answer.text)]).toEqual([400, { error: { message: "too long", code: 400 } }]);
  });
});

describe("an engine whose last event is an error without the line that ends it", () => {
  const own = 'data: {"error":{"message":"no memory"}}';

  it.each(["", "\n", "\r\n"])("gets a status when it was the first event (%j behind it)", async (end) => {
    const answer = await ask(says(STREAM_HEAD + own + end), true);
    expect([answer.status, JSON.parse(answer.text)]).toEqual([502, { error: { message: "no memory" } }]);
  });

  it.each(["", "\n"])("passes it on behind what it had said, and [DONE] (%j behind it)", async (end) => {
    expect(await ask(says(STREAM_HEAD + token("a") + own + end), true)).toEqual({
      status: 200,
      text: `${token("a")}${own}\n\n${DONE}`,
    });
  });

  it("passes on an event that is an error by its name alone", async () => {
    const named = 'event: error\ndata: {"message":"no memory"}\n';
    expect(await ask(says(STREAM_HEAD + named), true)).toEqual({ status: 200, text: `${named}\n${DONE}` });
  });

  it("passes on no half of an error: the queen says her own", async () => {
    const answer = await ask(says(`${STREAM_HEAD}${own.slice(0, -6)}`), true);
    expect([answer.status, answer.text]).toEqual([502, expect.stringContaining("without [DONE]")]);
    const begun = await ask(says(`${STREAM_HEAD}${token("a")}${own.slice(0, -6)}`), true);
    expect(begun.text).toMatch(/"a".*\n\ndata: \{"error":\{"message":"cannot finish the answer: .*\}\n\ndata: \[DONE\]\n\n$/);
  });
});

describe("a stream of an engine", () => {
  const good = token("a") + token("ä") + DONE;

  it.each<[string, string, string]>([
    ["that says [DONE] two times ends at the first", good + DONE, good],
    ["that goes on after [DONE] ends there", good + token("more") + DONE, good],
    ["with CRLF passes unchanged", good.replaceAll("\n", "\r\n"), good.replaceAll("\n", "\r\n")],
    ["with CR alone passes unchanged", good.replaceAll("\n", "\r"), good.replaceAll("\n", "\r")],
    ["without its last empty line gets it", good.slice(0, -1), good],
    ["without its last line break gets it", good.slice(0, -2), good],
  ])("%s", async (_what, sent, expected) => {
    expect(await ask(says(STREAM_HEAD + sent), true)).toEqual({ status: 200, text: expected });
  });

  it("whose events say that there is no error is good", async () => {
    const first = token("a").replace("data: {", 'data: {"error":null,');
    expect(await ask(says(STREAM_HEAD + first + DONE), true)).toEqual({ status: 200, text: first + DONE });
    const broken = await ask(says(STREAM_HEAD + first), true);
    expect(broken.text).toContain("without [DONE]");
  });

  it("that is split at every byte passes unchanged", async () => {
    const bytes = Buffer.from(STREAM_HEAD + good.replaceAll("\n", "\r\n"));
    const answer = await ask((socket) => {
      socket.setNoDelay(true);
      let at = 0;
      const next = (): void => {
        if (at === bytes.length) socket.end();
        else socket.write(bytes.subarray(at, ++at), () => setImmediate(next));
      };
      next();
    }, true);
    expect(answer).toEqual({ status: 200, text: good.replaceAll("\n", "\r\n") });
  });

  it("whose last LF comes late passes unchanged, and one whose last LF never comes is whole", async () => {
    const bytes = STREAM_HEAD + good.replaceAll("\n", "\r\n");
    const late = await ask((socket) => {
      socket.write(bytes.slice(0, -1), () => setTimeout(() => socket.end("\n"), 50));
    }, true);
    expect(late).toEqual({ status: 200, text: good.replaceAll("\n", "\r\n") });
    const never = await ask((socket) => void socket.write(bytes.slice(0, -1)), true);
    expect(never).toEqual({ status: 200, text: good.replaceAll("\n", "\r\n").slice(0, -1) });
  });

  it.each<[string, (socket: Socket) => void, string]>([
    ["that has no [DONE]", says(STREAM_HEAD + token("a")), "without [DONE]"],
    [
      "that is reset after the first byte",
      (socket) => void socket.write(STREAM_HEAD + token("a"), () => setTimeout(() => socket.resetAndDestroy(), 50)),
      "cannot finish the answer",
    ],
    ["that falls silent", (socket) => void socket.write(STREAM_HEAD + token("a")), "longer than 2s for the engine to go on"],
    ["that ends inside an event", says(`${STREAM_HEAD}${token("a")}data: {"choices`), "without [DONE]"],
    ["with a line of 10 MB", says(`${STREAM_HEAD}${token("a")}data: ${"x".repeat(10_000_000)}\n\n`), "larger than 8388608 bytes"],
  ])("%s ends with an error event and [DONE]", async (_what, behaviour, message) => {
    const { status, text } = await ask(behaviour, true);
    expect(status).toBe(200);
    expect(text.startsWith(token("a"))).toBe(true);
    const [error, done, ...rest] = text.slice(token("a").length).split("\n\n");
    expect(JSON.parse(error?.slice("data: ".length) ?? "")).toMatchObject({
      error: { message: expect.stringContaining(message), type: "server_error", request_id: expect.stringMatching(/./) },
    });
    expect([done, ...rest]).toEqual(["data: [DONE]", ""]);
  });
});
