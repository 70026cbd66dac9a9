import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { createPeer } from "@queen-and-hive/daemon";
import {
  fakeModel,
  fakeRuntime,
  fakeWorkerStats,
  freePort,
  freePortRange,
  startTestQueen,
  type TestQueen,
  temporaryDirectory,
} from "@queen-and-hive/dev-env";
import { HIVE_ENDPOINTS, QUEEN_ENDPOINTS } from "@queen-and-hive/protocol";
import { ms, percentile } from "./statistics.ts";
import type { Row } from "./table.ts";

const ROUNDS = 100;
const POLLED_ROUNDS = 15;
const POLL_EVERY_MS = 2_000;
const LOAD_MS = 100;

/** What one round saw, on the machine's monotonic clock. */
interface Round {
  /** Milliseconds from the worker's sending of its ready callback to the arrival of the waiting request at the worker. */
  readonly resumedAfterMs: number;
  /** The same for a client that polls the list of workers; null in rounds without one. */
  readonly polledAfterMs: number | null;
}

/**
 * A request for a model without a worker waits until the worker calls back. Each round uses a model of its own. In some
 * rounds a client polls for the same worker every 2 s, beginning at a random moment, as the system that this replaces did.
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
  const models = Array.from({ length: ROUNDS }, (_, index) => fakeModel(`fake-${index}`));
  const runtimes = { fake: fakeRuntime(["--load-ms", String(LOAD_MS)]) };
  await using queen = await startTestQueen({
    config: { hives: [hive], models, runtimes, shutdown: { budget: "60s", drain: "1s" } },
  });
  await queen.hivesRunning();
  const before = await readinessRequests(queen, hive.listen);
  const rounds: Round[] = [];
  for (let index = 0; index < ROUNDS; index += 1) {
    rounds.push(await oneRound(queen, `fake-${index}`, index % Math.floor(ROUNDS / POLLED_ROUNDS) === 0));
  }
  const asked = (await readinessRequests(queen, hive.listen)) - before;
  const resumed = rounds.map((round) => round.resumedAfterMs);
  const polled = rounds.flatMap((round) => (round.polledAfterMs === null ? [] : [round.polledAfterMs]));
  return [
    {
      what: "ready callback sent -> waiting request at the worker, p50",
      figure: ms(percentile(resumed, 0.5)),
      aim: "<= 5 ms",
      samples: resumed.length,
    },
    { what: "the same, p99", figure: ms(percentile(resumed, 0.99)), aim: "<= 20 ms", samples: resumed.length },
    { what: "requests by the queen to learn of readiness", figure: String(asked), aim: "0", samples: resumed.length },
    {
      what: "a client that polls the same workers every 2 s, p50",
      figure: ms(percentile(polled, 0.5)),
      aim: "for comparison",
      samples: polled.length,
    },
    { what: "the same, p99", figure: ms(percentile(polled, 0.99)), aim: "for comparison", samples: polled.length },
    {
      what: "polling : callback, p50",
      figure: `${(percentile(polled, 0.5) / percentile(resumed, 0.5)).toFixed(0)} : 1`,
      aim: "",
      samples: polled.length,
    },
  ];
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
  const stats = await fakeWorkerStats(worker.url);
  if (stats.first_callback_at_ms === null || stats.first_request_at_ms === null) {
    throw new Error(`cannot bench ${model}: its worker did not see both the callback and the request`);
  }
  const seenByPoller = await poller;
  return {
    resumedAfterMs: stats.first_request_at_ms - stats.first_callback_at_ms,
    polledAfterMs: seenByPoller === null ? null : seenByPoller - stats.first_callback_at_ms,
  };
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

/** How often the hive was asked something that could tell about readiness, by its own count of requests per endpoint. */
async function readinessRequests(queen: TestQueen, listen: string): Promise<number> {
  const token = (await readFile(`${queen.stateDir}/secrets/hive-local.token`, "utf8")).trim();
  await using peer = createPeer({ url: `http://${listen}`, token: () => token, name: "hive", timeoutMs: 5_000, maxSockets: 1 });
  const metrics = String(await peer.call(HIVE_ENDPOINTS.getMetrics));
  const counts = [...metrics.matchAll(/^http_request_duration_seconds_count\{([^}]*)\} (\d+)/gm)];
  if (counts.length === 0) throw new Error("cannot count the hive's requests: its metrics have none");
  return counts
    .filter(([, labels = ""]) => /endpoint="(listWorkers|getWorker|getHealth|getWorkerLogs)"/.test(labels))
    .reduce((sum, [, , count = "0"]) => sum + Number(count), 0);
}

function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
