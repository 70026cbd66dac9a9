import { startTestHive, type TestHive } from "@queen-and-hive/dev-env";
import { HIVE_ENDPOINTS, newWorkerId } from "@queen-and-hive/protocol";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Ask, ask, errorOf } from "./ask.ts";

let hive: TestHive;
beforeAll(async () => {
  hive = await startTestHive();
}, 60_000);
afterAll(async () => {
  expect((await hive.peer.call(HIVE_ENDPOINTS.listWorkers)).workers).toEqual([]);
  await hive[Symbol.asyncDispose]();
}, 60_000);

const UNKNOWN = newWorkerId();

test.each<[string, Ask, number, string]>([
  ["a spawn that is no JSON", { path: "/v1/workers", body: "{" }, 400, "malformed_json"],
  ["a spawn that says nothing", { path: "/v1/workers", body: {} }, 400, "invalid_body"],
  ["an owner that is no queen", { method: "PUT", path: "/v1/queen", body: { queen_id: "me" } }, 400, "invalid_body"],
  ["a stop with a wrong word", { path: "/v1/shutdown", body: { workers: "burn" } }, 400, "invalid_body"],
  ["the stop of an unknown worker", { method: "DELETE", path: `/v1/workers/${UNKNOWN}` }, 404, "worker_not_found"],
  ["the log of an unknown worker", { method: "GET", path: `/v1/workers/${UNKNOWN}/logs` }, 404, "worker_not_found"],
  ["a path that does not exist", { method: "GET", path: "/v1/nothing" }, 404, "route_not_found"],
  ["more than its limit", { path: "/v1/workers", body: { worker_id: "x".repeat(20_000_000) } }, 413, "body_too_large"],
])("a hive refuses %s from her queen", async (_what, asked, status, code) => {
  const answer = await ask(hive.url, { ...asked, headers: { authorization: `Bearer ${hive.token}` } });
  expect([answer.status, errorOf(answer.text).code]).toEqual([status, code]);
});

test.each<[string, Ask]>([
  ["a spawn", { path: "/v1/workers", body: {} }],
  ["the list of workers", { method: "GET", path: "/v1/workers" }],
  ["her events", { method: "GET", path: "/v1/events" }],
  ["her end", { path: "/v1/shutdown", body: { workers: "stop" } }],
  ["an owner", { method: "PUT", path: "/v1/queen", body: {} }],
])("a hive takes %s from nobody without her token, and from no page of another site", async (_what, asked) => {
  for (const headers of [{}, { authorization: "Bearer some-other-token" }]) {
    const answer = await ask(hive.url, { ...asked, headers });
    expect([answer.status, errorOf(answer.text).code]).toEqual([401, "unauthenticated"]);
  }
});

test("anybody may ask a hive how it is, and learns nothing else", async () => {
  const answer = await ask(hive.url, { method: "GET", path: "/health" });
  expect(answer.status).toBe(200);
  expect(Object.keys(JSON.parse(answer.text)).toSorted()).toEqual(
    ["boot_id", "hive_epoch", "hive_id", "pid", "protocol", "start_time", "status", "version"].toSorted(),
  );
});
