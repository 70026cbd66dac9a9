import { mkdir, readFile } from "node:fs/promises";
import {
  type ScriptedGpu,
  scriptGpu,
  startRecordingServer,
  startTestHive,
  type TestHive,
  temporaryDirectory,
  until,
} from "@queen-and-hive/dev-env";
import { HIVE_ENDPOINTS, type HiveEvent, type SpawnRequest } from "@queen-and-hive/protocol";
import { hiveProgram } from "../hive-program.ts";
import { sleeperOrder } from "../sleeper.ts";
import { percentile } from "../statistics.ts";
import type { Row } from "../table.ts";

const ROUNDS = 15;
const WAIT_MS = 60_000;
const SAMPLE_EVERY = "500ms";
/** What an engine of the machine with a GPU holds there, MiB. */
const HELD_MIB = 16_384;

/** What is heard in the hive's event stream, on this process's clock. */
interface Heard {
  readonly readyMs: Map<string, number>;
  /** Proofs that a GPU's memory was back. */
  memoryProofs: number;
}

/**
 * One worker is stopped with proof and another started, as for a model that has to make place. What the engines take by
 * themselves is taken off, as they measure it themselves: from hearing TERM to their exit, from their process's start to their
 * callback. Everything else is the hive's, also what its own looks at an end and at devices take.
 */
export async function swapRows(): Promise<readonly Row[]> {
  await using folder = await temporaryDirectory("qh-bench-gpu");
  const plain = await addedBySwaps(null);
  const withGpu = await addedBySwaps(await scriptGpu(folder.path));
  return [
    ...rowsOf("swap", "a swap of two workers, beyond what the engines take", plain),
    ...rowsOf("swap_gpu", "the same on a machine with a GPU, its memory proven back", withGpu),
  ];
}

function rowsOf(id: string, what: string, added: readonly number[]): readonly Row[] {
  const common = { unit: "ms", samples: added.length } as const;
  return [
    { id: `${id}_p50`, what: `${what}, p50`, value: percentile(added, 0.5), atMost: 100, ...common },
    { id: `${id}_slowest`, what: "the same, the slowest", value: Math.max(...added), atMost: null, ...common },
  ];
}

async function addedBySwaps(gpu: ScriptedGpu | null): Promise<readonly number[]> {
  await using queen = await startRecordingServer();
  queen.answer(() => ({ status: 200, body: { applied: true } }));
  const env = gpu === null ? {} : { PATH: `${gpu.bin}:${process.env["PATH"] ?? ""}` };
  await using hive = await startTestHive({ command: hiveProgram().command, env, config: { sample_every: SAMPLE_EVERY } });
  const timesDir = `${hive.folder}/times`;
  await mkdir(timesDir);
  const heard: Heard = { readyMs: new Map(), memoryProofs: 0 };
  const listening = new AbortController();
  const stream = listen(hive, heard, listening.signal);
  const next = (): Promise<string> => spawnReady(hive, heard, order(queen.url, timesDir, gpu));
  const added: number[] = [];
  let current = await next();
  for (let round = 0; round < ROUNDS; round += 1) {
    if (gpu !== null) await sampled(gpu);
    const begunMs = performance.now();
    await hive.peer.call(HIVE_ENDPOINTS.deleteWorker, { params: { worker_id: current } });
    const started = await next();
    const tookMs = (heard.readyMs.get(started) ?? Number.NaN) - begunMs;
    added.push(tookMs - (await ownMs(timesDir, current, "stop")) - (await ownMs(timesDir, started, "start")));
    current = started;
  }
  listening.abort();
  await stream.catch(() => undefined);
  if (gpu !== null && heard.memoryProofs !== ROUNDS) {
    throw new Error(`cannot bench a swap: the GPU's memory was proven back ${heard.memoryProofs} times of ${ROUNDS}`);
  }
  return added;
}

function order(queenUrl: string, timesDir: string, gpu: ScriptedGpu | null): SpawnRequest {
  const { spec, ...rest } = sleeperOrder(queenUrl);
  const engine = [process.execPath, `${import.meta.dirname}/timed-engine.mjs`] as const;
  const command: [string, ...string[]] = gpu === null ? [...engine] : [...gpu.holding(HELD_MIB, engine)];
  const runtime = { name: "timed", command, ready: { callback: true } };
  const needs = gpu === null ? {} : { needs: { devices: 1, memory_bytes: HELD_MIB * 1024 ** 2 } };
  return { ...rest, spec: { ...spec, runtime, ...needs, env: { TIMES_DIR: timesDir } } };
}

async function spawnReady(hive: TestHive, { readyMs }: Heard, body: SpawnRequest): Promise<string> {
  await hive.peer.call(HIVE_ENDPOINTS.postWorker, { body });
  await until(() => readyMs.has(body.worker_id), WAIT_MS, "the worker to be ready");
  return body.worker_id;
}

/** As of any worker that is older than `sample_every`, what it has of the GPU has been looked at. */
async function sampled(gpu: ScriptedGpu): Promise<void> {
  const before = await gpu.looks();
  // A look asks two questions.
  await until(async () => (await gpu.looks()) >= before + 2, WAIT_MS, "a sample of the GPU");
}

/** What an engine has taken, as it says itself. */
async function ownMs(timesDir: string, workerId: string, what: "start" | "stop"): Promise<number> {
  const said = new RegExp(`^${what} (\\S+)$`, "m").exec(await readFile(`${timesDir}/${workerId}`, "utf8"))?.[1];
  if (said === undefined) throw new Error(`cannot bench a swap: a worker did not say how long its ${what} took`);
  return Number(said);
}

async function listen(hive: TestHive, heard: Heard, signal: AbortSignal): Promise<void> {
  for await (const { data } of hive.peer.events(HIVE_ENDPOINTS.getEvents, { signal })) {
    const event: HiveEvent = JSON.parse(data);
    if (event.type === "worker" && event.worker.state === "ready" && !heard.readyMs.has(event.worker.worker_id))
      heard.readyMs.set(event.worker.worker_id, performance.now());
    if (event.type === "step" && event.step === "device_memory" && event.outcome === "ok") heard.memoryProofs += 1;
  }
}
