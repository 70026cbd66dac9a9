import { readFile } from "node:fs/promises";
import { createPeer, type Peer } from "@queen-and-hive/daemon";
import { fakeModel, startTestQueen, type TestQueen, until } from "@queen-and-hive/dev-env";
import { HIVE_ENDPOINTS, QUEEN_ENDPOINTS, type WorkerRecord } from "@queen-and-hive/protocol";
import { percentile } from "../statistics.ts";
import type { Row } from "../table.ts";

const WORKERS = 15;
const ROUNDS = 4;
const READY_MS = 60_000;

/** When the end of each worker was heard of, by worker and incarnation, on this process's clock. */
interface Heard {
  readonly byHive: Map<string, number>;
  readonly byQueen: Map<string, number>;
}

/** A worker is killed; when does its hive say so in its event stream, and when has the queen recorded it? */
export async function exitRows(): Promise<readonly Row[]> {
  const breaker = { restarts: 10_000, window: "5m", unready_in_a_row: 10_000 };
  const sleeper = { command: ["sh", "-c", "echo listening; exec sleep 1000"], ready: { log: "listening" } };
  const workers = { min: WORKERS, max: WORKERS };
  await using queen = await startTestQueen({
    config: {
      models: [fakeModel("sleeper", "sleeper", { workers })],
      runtimes: { sleeper },
      restart: { first: "50ms", factor: 1, jitter: 0, breaker },
    },
  });
  await queen.hivesRunning();
  const token = (await readFile(`${queen.stateDir}/secrets/hive-local.token`, "utf8")).trim();
  const url = `http://${queen.config.hives?.[0]?.listen ?? ""}`;
  // Each round speaks to another daemon.
  const connect = (): Peer => createPeer({ url, token: () => token, name: "the hive", timeoutMs: 5_000, maxSockets: 4 });
  const children: Sample[] = [];
  const adopted: Sample[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    await allReady(queen);
    children.push(...(await killEach(queen, connect())));
    await allReady(queen);
    const epoch = await runningEpoch(queen);
    await queen.hive("local").kill();
    await until(async () => (await runningEpoch(queen)) === epoch + 1, READY_MS, "the next daemon");
    await allReady(queen);
    adopted.push(...(await killEach(queen, connect())));
  }
  return [...rowsOf("child", "a child", children), ...rowsOf("adopted", "an adopted worker", adopted)];
}

interface Sample {
  readonly hiveMs: number;
  readonly queenMs: number;
}

function rowsOf(id: string, name: string, samples: readonly Sample[]): readonly Row[] {
  const common = { unit: "ms", samples: samples.length } as const;
  const hive = samples.map(({ hiveMs }) => hiveMs);
  const queen = samples.map(({ queenMs }) => queenMs);
  return [
    {
      id: `exit_${id}_hive_p50`,
      what: `kill of ${name} -> its hive's event, p50`,
      value: percentile(hive, 0.5),
      atMost: null,
      ...common,
    },
    { id: `exit_${id}_hive_p99`, what: "the same, p99", value: percentile(hive, 0.99), atMost: 50, ...common },
    {
      id: `exit_${id}_queen_p50`,
      what: `kill of ${name} -> recorded by the queen, p50`,
      value: percentile(queen, 0.5),
      atMost: null,
      ...common,
    },
    { id: `exit_${id}_queen_p99`, what: "the same, p99", value: percentile(queen, 0.99), atMost: 100, ...common },
  ];
}

async function killEach(queen: TestQueen, connection: Peer): Promise<readonly Sample[]> {
  await using hive = connection;
  const samples: Sample[] = [];
  const listening = new AbortController();
  const heard: Heard = { byHive: new Map(), byQueen: new Map() };
  const streams = [listenToHive(hive, heard, listening.signal), listenToQueen(queen.peer, heard, listening.signal)];
  for (const stream of streams) stream.catch((error: unknown) => listening.signal.aborted || console.error(String(error)));
  await until(() => heard.byHive.has("snapshot"), READY_MS, "the hive's snapshot");
  for (const { worker_id, incarnation, pid } of await allReady(queen)) {
    if (pid === null) throw new Error("cannot bench an exit: a ready worker has no process");
    const key = `${worker_id} ${incarnation}`;
    const killedMs = performance.now();
    process.kill(pid, "SIGKILL");
    await until(() => heard.byHive.has(key) && heard.byQueen.has(key), READY_MS, "both to hear of it");
    samples.push({
      hiveMs: (heard.byHive.get(key) ?? Number.NaN) - killedMs,
      queenMs: (heard.byQueen.get(key) ?? Number.NaN) - killedMs,
    });
    await allReady(queen);
  }
  listening.abort();
  await Promise.allSettled(streams);
  return samples;
}

async function listenToHive(hive: Peer, { byHive }: Heard, signal: AbortSignal): Promise<void> {
  for await (const { event, data } of hive.events(HIVE_ENDPOINTS.getEvents, { signal })) {
    if (event === "snapshot") byHive.set("snapshot", performance.now());
    if (event !== "worker") continue;
    const { worker }: { readonly worker: WorkerRecord } = JSON.parse(data);
    const key = `${worker.worker_id} ${worker.incarnation}`;
    if (worker.state === "crashed" && !byHive.has(key)) byHive.set(key, performance.now());
  }
}

async function listenToQueen(queen: Peer, { byQueen }: Heard, signal: AbortSignal): Promise<void> {
  for await (const { data } of queen.events(QUEEN_ENDPOINTS.getEvents, { signal })) {
    const event: { readonly kind: string; readonly worker_id?: string; readonly details?: { readonly incarnation?: number } } =
      JSON.parse(data);
    const key = `${event.worker_id} ${event.details?.incarnation}`;
    if (event.kind === "worker.exit" && !byQueen.has(key)) byQueen.set(key, performance.now());
  }
}

async function runningEpoch(queen: TestQueen): Promise<number> {
  const [hive] = (await queen.peer.call(QUEEN_ENDPOINTS.listHives)).hives;
  return hive?.state === "running" ? (hive.hive_epoch ?? 0) : 0;
}

async function allReady(queen: TestQueen): Promise<readonly WorkerRecord[]> {
  return await until(
    async () => {
      const { workers } = await queen.peer.call(QUEEN_ENDPOINTS.listWorkers);
      return workers.length === WORKERS && workers.every(({ state, pid }) => state === "ready" && pid !== null) ? workers : null;
    },
    READY_MS,
    `${WORKERS} ready workers`,
  );
}
