import { request } from "node:http";
import { expectNoProcesses, fakeModel, startTestQueen, type TestQueen } from "@queen-and-hive/dev-env";
import { QUEEN_ENDPOINTS } from "@queen-and-hive/protocol";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Ask, ask, chat, errorOf } from "./ask.ts";

const BODY_LIMIT = 65_536;
let queen: TestQueen;

beforeAll(async () => {
  queen = await startTestQueen({
    config: { models: [fakeModel("fake", "fake", { aliases: ["small"] })], limits: { body: "64KiB" } },
  });
  await queen.hivesRunning();
}, 60_000);

/** None of it started, changed or stopped anything. */
afterAll(async () => {
  expect((await queen.peer.call(QUEEN_ENDPOINTS.listWorkers)).workers).toEqual([]);
  expect((await queen.peer.call(QUEEN_ENDPOINTS.getReadyz)).status).toBe("ok");
  const { folder } = queen;
  await queen[Symbol.asyncDispose]();
  await expectNoProcesses({ folder });
}, 60_000);

const INFERENCE = ["/v1/chat/completions", "/v1/completions", "/v1/embeddings"];
const CALLBACKS = ["/v2/hives/ready", "/v2/workers/ready", "/v2/workers/exited"];

describe.each(INFERENCE)("POST %s", (path) => {
  test.each<[string, unknown, number, string]>([
    ["a text that is no JSON", '{"model": "fake", ', 400, "malformed_json"],
    ["nothing", "", 400, "malformed_json"],
    ["a list", [1, 2], 400, "invalid_body"],
    ["null", null, 400, "invalid_body"],
    ["no model", { messages: [] }, 400, "model_required"],
    ["a model that is a number", { model: 7 }, 400, "model_required"],
    ["an empty model", { model: "" }, 400, "model_required"],
    ["an unknown model", chat("gpt-17"), 404, "model_not_found"],
    ["more than the limit", chat("fake", { user: "x".repeat(BODY_LIMIT) }), 413, "body_too_large"],
  ])("refuses %s", async (_what, body, status, code) => {
    const answer = await ask(queen.url, { path, body });
    expect([answer.status, errorOf(answer.text).code]).toEqual([status, code]);
    expect(answer.headers["x-should-retry"]).toBe("false");
  });

  test("names the models that exist, and echoes the request's id", async () => {
    const headers = { "x-request-id": "my-request" };
    const answer = await ask(queen.url, { path, body: chat("gpt-17"), headers });
    expect(errorOf(answer.text)).toMatchObject({ message: expect.stringMatching(/"gpt-17".*fake/), request_id: "my-request" });
    expect(answer.headers["x-request-id"]).toBe("my-request");
  });

  test("refuses more than the limit also when its size is not announced", async () => {
    const headers = { "transfer-encoding": "chunked", "content-type": "application/json" };
    const status = await new Promise<number>((resolve, reject) => {
      const outgoing = request(new URL(path, queen.url), { method: "POST", headers }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      outgoing.on("error", reject);
      outgoing.write(`{"model": "fake", "prompt": "${"x".repeat(2 * BODY_LIMIT)}`);
    });
    expect(status).toBe(413);
  });
});

describe("a page of another site", () => {
  const targets: readonly [string, Ask][] = [
    ["a chat", { body: chat("fake") }],
    ["the stop of everything", { path: "/v2/shutdown", body: { hives: "stop" } }],
    ["the list of workers", { method: "GET", path: "/v2/workers" }],
    ["the journal", { method: "GET", path: "/v2/events" }],
  ];
  const origins: readonly [string, Record<string, string>][] = [
    ["an Origin elsewhere", { origin: "https://evil.example" }],
    ["an opaque Origin", { origin: "null" }],
    ["a Host that was rebound to us", { host: "evil.example" }],
    ["a browser that says cross-site", { "sec-fetch-site": "cross-site" }],
  ];
  const cases = targets.flatMap(([what, target]) =>
    origins.map(([how, headers]) => [what, how, { ...target, headers }] as const),
  );

  test.each(cases)("cannot have %s with %s", async (_what, _how, asked) => {
    const answer = await ask(queen.url, asked);
    expect([answer.status, errorOf(answer.text).code]).toEqual([403, "cross_site_request"]);
    expect(answer.headers["access-control-allow-origin"]).toBeUndefined();
  });

  test("cannot send a body unasked, as a form can", async () => {
    const headers = { "content-type": "text/plain" };
    const answer = await ask(queen.url, { body: JSON.stringify(chat("fake")), headers });
    expect([answer.status, errorOf(answer.text).code]).toEqual([415, "unsupported_media_type"]);
  });

  test("of this machine is welcome", async () => {
    const headers = { origin: "http://localhost:3000", "sec-fetch-site": "same-site" };
    expect((await ask(queen.url, { method: "GET", path: "/v1/models", headers })).status).toBe(200);
  });
});

test.each<[string, Ask, number, string]>([
  ["a path that does not exist", { method: "GET", path: "/v1/nothing" }, 404, "route_not_found"],
  ["a method that a path does not have", { method: "DELETE", path: "/v1/models" }, 405, "method_not_allowed"],
  ["a model that does not exist", { method: "GET", path: "/v1/models/gpt-17" }, 404, "model_not_found"],
  ["a query that it does not know", { method: "GET", path: "/v2/events?since=yesterday" }, 400, "invalid_query"],
  ["a stop that says nothing", { path: "/v2/shutdown", body: {} }, 400, "invalid_body"],
  ["a stop with a word too many", { path: "/v2/shutdown", body: { hives: "stop", now: true } }, 400, "invalid_body"],
  ["a stop that is no JSON", { path: "/v2/shutdown", body: "stop" }, 400, "malformed_json"],
])("the queen refuses %s", async (_what, asked, status, code) => {
  const answer = await ask(queen.url, asked);
  expect([answer.status, errorOf(answer.text).code]).toEqual([status, code]);
});

test.each(CALLBACKS)("%s takes nothing without a hive's token", async (path) => {
  for (const headers of [{}, { authorization: "Bearer not-the-token-of-any-hive" }]) {
    const answer = await ask(queen.url, { path, body: {}, headers });
    expect([answer.status, errorOf(answer.text).code]).toEqual([401, "unauthenticated"]);
  }
});
