import { startRecordingServer, startTestHive, type TestHive, until } from "@queen-and-hive/dev-env";
import { HIVE_ENDPOINTS, type HiveEvent, type SpawnRequest, type WorkerRecord } from "@queen-and-hive/protocol";
import { hiveProgram } from "../hive-program.ts";
import { sleeperOrder } from "../sleeper.ts";
import { percentile } from "../statistics.ts";
import type { Row } from "../table.ts";

const ROUNDS = 15;
const WAIT_MS = 60_000;

/** What is heard in the hive's event stream, on this process's clock. */
interface Heard {
  readonly readyMs: Map<string, number>;
  readonly termMs: Map<string, number>;
}

/**
 * One worker is stopped with proof and another started, as for a model that has to make place. What the engines take by
 * themselves (from TERM to the end, from the process to its callback) is taken off.
 */
export async function swapRows(): Promise<readonly Row[]> {
  await using queen = await startRecordingServer();
  queen.answer(() => ({ status: 200, body: { applied: true } }));
  await using hive = await startTestHive({ command: hiveProgram().command });
  const heard: Heard = { readyMs: new Map(), termMs: new Map() };
  const listening = new AbortController();
  const stream = listen(hive, heard, listening.signal);
  const added: number[] = [];
  let current = await spawnReady(hive, heard, queen.url);
  for (let round = 0; round < ROUNDS; round += 1) {
    const begunMs = performance.now();
    await hive.peer.call(HIVE_ENDPOINTS.deleteWorker, { params: { worker_id: current.worker_id } });
    const next = await spawnReady(hive, heard, queen.url);
    const tookMs = (heard.readyMs.get(next.worker_id) ?? Number.NaN) - begunMs;
    const ownMs = (heard.termMs.get(current.worker_id) ?? Number.NaN) + (await startMs(hive, next));
    added.push(tookMs - ownMs);
    current = next;
  }
  listening.abort();
  await stream.catch(() => undefined);
  const common = { unit: "ms", samples: added.length } as const;
  return [
    {
      id: "swap_p50",
      what: "a swap of two workers, beyond what the engines take, p50",
      value: percentile(added, 0.5),
      atMost: 100,
      ...common,
    },
    { id: "swap_slowest", what: "the same, the slowest", value: Math.max(...added), atMost: null, ...common },
  ];
}

function order(queenUrl: string): SpawnRequest {
  const { spec, ...rest } = sleeperOrder(queenUrl);
  const runtime = {
    name: "timed",
    command: [process.execPath, `${import.meta.dirname}/timed-engine.mjs`],
    ready: { callback: true },
  };
  return { ...rest, spec: { ...spec, runtime } };
}

async function spawnReady(hive: TestHive, { readyMs }: Heard, queenUrl: string): Promise<WorkerRecord> {
  const body = order(queenUrl);
  await hive.peer.call(HIVE_ENDPOINTS.postWorker, { body });
  await until(() => readyMs.has(body.worker_id), WAIT_MS, "the worker to be ready");
  return await hive.peer.call(HIVE_ENDPOINTS.getWorker, { params: { worker_id: body.worker_id } });
}

/** From the start of the engine's process to its callback, as it says itself. */
async function startMs(hive: TestHive, { worker_id }: WorkerRecord): Promise<number> {
  const text = await hive.peer.call(HIVE_ENDPOINTS.getWorkerLogs, { params: { worker_id }, query: {} });
  const said = /^took (\S+)$/m.exec(String(text))?.[1];
  if (said === undefined) throw new Error("cannot bench a swap: the worker did not say how long it took");
  return Number(said);
}

async function listen(hive: TestHive, { readyMs, termMs }: Heard, signal: AbortSignal): Promise<void> {
  for await (const { data } of hive.peer.events(HIVE_ENDPOINTS.getEvents, { signal })) {
    const event: HiveEvent = JSON.parse(data);
    if (event.type === "worker" && event.worker.state === "ready" && !readyMs.has(event.worker.worker_id))
      readyMs.set(event.worker.worker_id, performance.now());
    if (event.type === "step" && event.step === "term") termMs.set(event.worker_id, event.duration_ms);
  }
}
