import { createMetrics } from "@queen-and-hive/daemon";
import { expect, it } from "vitest";
import { createGatewayMetrics } from "./gateway-metrics.ts";
import type { RequestRow } from "./request-row.ts";

const ROW: RequestRow = {
  ...{ request_id: "r", route: "chat.completions", model: "small", status: 200, worker_id: null, hive_id: null, attempts: 1 },
  ...{ queue_ms: 0, ttft_ms: 250, duration_ms: 500, error_kind: null, prompt_tokens: 3, completion_tokens: 5 },
};

it("shows a request in the scrape right after it", async () => {
  const metrics = createMetrics();
  const gateway = createGatewayMetrics(metrics);
  gateway.started();
  gateway.waited({ slotMs: 125, loadMs: 2_000 });
  expect(valuesOf(await metrics.render())).toMatchObject({
    queen_active_requests: 1,
    'queen_queue_wait_seconds_sum{for="slot"}': 0.125,
    'queen_queue_wait_seconds_sum{for="load"}': 2,
  });
  gateway.ended(ROW, 0.5);
  expect(valuesOf(await metrics.render())).toMatchObject({
    queen_active_requests: 0,
    'queen_requests_total{model="small",route="chat.completions",status="200"}': 1,
    'queen_request_duration_seconds_sum{model="small",route="chat.completions"}': 0.5,
    'queen_time_to_first_token_seconds_sum{model="small"}': 0.25,
    queen_overhead_seconds_sum: 0.0005,
    'queen_tokens_total{model="small",kind="prompt"}': 3,
    'queen_tokens_total{model="small",kind="completion"}': 5,
  });
});

it("counts each of many different requests once, under its own labels", async () => {
  const metrics = createMetrics();
  const gateway = createGatewayMetrics(metrics);
  for (let index = 0; index < 300; index++) {
    gateway.started();
    gateway.waited({ slotMs: 1_000, loadMs: index % 2 });
    gateway.ended(
      { ...ROW, model: index % 3 === 0 ? "large" : "small", route: index % 2 === 0 ? "embeddings" : ROW.route },
      1_000,
    );
  }
  gateway.started();
  gateway.started();
  gateway.started();
  gateway.ended(
    { ...ROW, status: 503, ttft_ms: null, error_kind: "queue_full", prompt_tokens: null, completion_tokens: 0 },
    null,
  );
  gateway.ended({ ...ROW, model: null, status: 404, ttft_ms: null, prompt_tokens: null, completion_tokens: null }, null);
  const values = valuesOf(await metrics.render());
  expect(values).toMatchObject({
    queen_active_requests: 1,
    'queen_requests_total{model="large",route="embeddings",status="200"}': 50,
    'queen_requests_total{model="large",route="chat.completions",status="200"}': 50,
    'queen_requests_total{model="small",route="embeddings",status="200"}': 100,
    'queen_requests_total{model="small",route="chat.completions",status="200"}': 100,
    'queen_requests_total{model="small",route="chat.completions",status="503"}': 1,
    'queen_requests_total{model="unknown",route="chat.completions",status="404"}': 1,
    'queen_request_duration_seconds_count{model="small",route="chat.completions"}': 101,
    'queen_request_duration_seconds_sum{model="large",route="embeddings"}': 25,
    'queen_time_to_first_token_seconds_count{model="small"}': 200,
    'queen_time_to_first_token_seconds_bucket{le="0.1",model="small"}': 0,
    'queen_time_to_first_token_seconds_bucket{le="0.25",model="small"}': 200,
    queen_overhead_seconds_count: 300,
    'queen_queue_wait_seconds_sum{for="slot"}': 300,
    'queen_queue_wait_seconds_count{for="load"}': 150,
    'queen_errors_total{kind="queue_full"}': 1,
    'queen_tokens_total{model="small",kind="prompt"}': 600,
    'queen_tokens_total{model="small",kind="completion"}': 1_000,
    'queen_tokens_total{model="large",kind="prompt"}': 300,
  });
  expect(Object.keys(values).filter((name) => /^queen_(tokens|time_to).*"unknown"/.test(name))).toEqual([]);
});

function valuesOf(text: string): Readonly<Record<string, number>> {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return Object.fromEntries(
    lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ")))]),
  );
}
