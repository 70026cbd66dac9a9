import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { createPeer } from "@queen-and-hive/daemon";
import {
  COMPILE_CACHE,
  fakeModel,
  freePort,
  freePortRange,
  REPOSITORY,
  startTestQueen,
  type TestQueen,
  temporaryDirectory,
} from "@queen-and-hive/dev-env";
import { HIVE_ENDPOINTS, QUEEN_ENDPOINTS } from "@queen-and-hive/protocol";
import { median, percentile } from "./statistics.ts";
import type { Row } from "./table.ts";
import type { WorkerTimes } from "./worker.ts";

const ROUNDS = 100;
const POLLED_EVERY = 6;
const POLL_EVERY_MS = 2_000;

/** What one round saw, on the machine's monotonic clock. */
interface Round {
  /** From the worker's writing of its ready callback to the arrival of the waiting request at the worker. */
  readonly resumedAfterMs: number;
  /** From the same moment until a client that polls knows it; null in rounds without one. */
  readonly polledAfterMs: number | null;
  /** What was sent to the worker beside the request. */
  readonly otherRequests: number;
}

/**
 * A request for a model without a worker waits until the worker calls back. Each round uses a model of its own. In some
 * rounds a client asks every 2 s whether the same worker is ready, beginning at a random moment, as the system that this
 * replaces did. Both moments of the callback's figure are taken in the worker: the way to the hive, the hive, the way to
 * the queen, the queen and the way back to the worker are all in it.
 */
export async function benchReadiness(): Promise<readonly Row[]> {
  await using folder = await temporaryDirectory("qh-bench");
  const hive = {
    id: "local",
    host: "local",
    listen: `127.0.0.1:${await freePort()}`,
    worker_ports: (await freePortRange(ROUNDS + 10)).text,
    state_dir: folder.join("hive"),
  };
  const command = [process.execPath, `${REPOSITORY}/bench/worker.ts`];
  await using queen = await startTestQueen({
    config: {
      hives: [hive],
      models: Array.from({ length: ROUNDS }, (_, index) => fakeModel(modelOf(index), "bench")),
      runtimes: { bench: { command, env: COMPILE_CACHE, ready: { callback: true } } },
      shutdown: { budget: "60s", drain: "1s" },
    },
  });
  await queen.hivesRunning();
  const before = await askedOfHive(queen, hive.listen);
  const rounds: Round[] = [];
  for (let index = 0; index < ROUNDS; index += 1) {
    rounds.push(await oneRound(queen, modelOf(index), index % POLLED_EVERY === 0));
  }
  const ofWorkers = rounds.reduce((sum, round) => sum + round.otherRequests, 0);
  return rowsOf(rounds, ofWorkers + (await askedOfHive(queen, hive.listen)) - before);
}

function rowsOf(rounds: readonly Round[], asked: number): readonly Row[] {
  const resumed = rounds.map((round) => round.resumedAfterMs);
  const polled = rounds.flatMap((round) => (round.polledAfterMs === null ? [] : [round.polledAfterMs]));
  const callback = { unit: "ms", samples: resumed.length } as const;
  const poll = { unit: "ms", atMost: null, samples: polled.length } as const;
  return [
    {
      id: "callback_p50",
      what: "ready callback sent -> waiting request at the worker, p50",
      value: median(resumed),
      atMost: 5,
      ...callback,
    },
    { id: "callback_p99", what: "the same, p99", value: percentile(resumed, 0.99), atMost: 20, ...callback },
    {
      id: "readiness_requests",
      what: "sent by the queen to learn of readiness",
      value: asked,
      unit: "requests",
      atMost: 0,
      samples: resumed.length,
    },
    { id: "polling_p50", what: "a client that polls the same workers every 2 s, p50", value: median(polled), ...poll },
    { id: "polling_p99", what: "the same, p99", value: percentile(polled, 0.99), ...poll },
    { id: "polling_ratio", what: "polling : callback, p50", value: median(polled) / median(resumed), ...poll, unit: "times" },
  ];
}

function modelOf(index: number): string {
  return `bench-${index}`;
}

async function oneRound(queen: TestQueen, model: string, withPoller: boolean): Promise<Round> {
  const poller = withPoller ? pollUntilReady(queen, model) : Promise.resolve(null);
  const answer = await fetch(`${queen.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model, messages: [{ role: "user", content: "hello" }] }),
  });
  if (!answer.ok) throw new Error(`cannot bench ${model}: ${answer.status} ${await answer.text()}`);
  await answer.arrayBuffer();
  const worker = (await queen.peer.call(QUEEN_ENDPOINTS.listWorkers)).workers.find((found) => found.model === model);
  if (worker?.url == null) throw new Error(`cannot bench ${model}: its worker is not in the list`);
  const { calledBackAtMs, requestedAtMs, otherRequests } = await timesOf(worker.url);
  if (calledBackAtMs === null || requestedAtMs === null || requestedAtMs < calledBackAtMs) {
    throw new Error(`cannot bench ${model}: its worker did not see first its callback and then the request`);
  }
  const seenByPoller = await poller;
  return {
    resumedAfterMs: requestedAtMs - calledBackAtMs,
    polledAfterMs: seenByPoller === null ? null : seenByPoller - calledBackAtMs,
    otherRequests,
  };
}

async function timesOf(url: string): Promise<WorkerTimes> {
  return parseTimes(await (await fetch(`${url}/times`)).text());
}

function parseTimes(text: string): WorkerTimes {
  const times: unknown = JSON.parse(text);
  if (typeof times !== "object" || times === null || !("calledBackAtMs" in times)) throw new Error(`cannot read ${text}`);
  return times as WorkerTimes;
}

/** The moment at which a client that asks every 2 s knows that the worker is ready. */
async function pollUntilReady(queen: TestQueen, model: string): Promise<number> {
  await sleep(Math.random() * POLL_EVERY_MS);
  for (;;) {
    const { workers } = await queen.peer.call(QUEEN_ENDPOINTS.listWorkers);
    if (workers.some((worker) => worker.model === model && worker.state === "ready")) return monotonicMs();
    await sleep(POLL_EVERY_MS);
  }
}

/** The endpoints of the hive whose answer says whether a worker is ready. That the hive itself lives is another question. */
const TELLING = new Set(["listWorkers", "getWorker", "getWorkerLogs", "checkWorker"]);

/** How many requests the hive has had that tell of readiness, by its own count per endpoint. */
async function askedOfHive(queen: TestQueen, listen: string): Promise<number> {
  const token = (await readFile(`${queen.stateDir}/secrets/hive-local.token`, "utf8")).trim();
  await using peer = createPeer({ url: `http://${listen}`, token: () => token, name: "hive", timeoutMs: 5_000, maxSockets: 1 });
  const metrics = String(await peer.call(HIVE_ENDPOINTS.getMetrics));
  const counts = [...metrics.matchAll(/^http_request_duration_seconds_count\{.*?endpoint="(\w+)".*?\} (\d+)/gm)];
  if (counts.length === 0) throw new Error("cannot count the hive's requests: its metrics have none");
  return counts.reduce((sum, [, endpoint = "", count = "0"]) => (TELLING.has(endpoint) ? sum + Number(count) : sum), 0);
}

function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
