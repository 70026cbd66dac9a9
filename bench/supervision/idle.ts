import { setTimeout as sleep } from "node:timers/promises";
import { COMPILE_CACHE, fakeWorkerCommand, startRecordingServer, startTestHive, until } from "@queen-and-hive/dev-env";
import { HIVE_ENDPOINTS } from "@queen-and-hive/protocol";
import { hiveProgram } from "../hive-program.ts";
import { cpuMsOf, memoryOf } from "../process-figures.ts";
import { sleeperOrder } from "../sleeper.ts";
import type { Row } from "../table.ts";

const WORKERS = 8;
const SETTLE_MS = 5_000;
const IDLE_MS = 30_000;

/** What a hive costs whose workers have nothing to do; they have a health path, which it asks. */
export async function idleRows(): Promise<readonly Row[]> {
  await using queen = await startRecordingServer();
  queen.answer(() => ({ status: 200, body: { applied: true } }));
  await using hive = await startTestHive({ command: hiveProgram().command });
  for (let index = 0; index < WORKERS; index += 1) {
    const order = sleeperOrder(queen.url);
    const runtime = { name: "fake", command: fakeWorkerCommand([], "http"), ready: { http: "/health" } };
    await hive.peer.call(HIVE_ENDPOINTS.postWorker, {
      body: { ...order, spec: { ...order.spec, runtime, env: { ...COMPILE_CACHE } } },
    });
  }
  await until(
    async () => (await hive.peer.call(HIVE_ENDPOINTS.listWorkers)).workers.every(({ state }) => state === "ready"),
    60_000,
    `${WORKERS} ready workers`,
  );
  await sleep(SETTLE_MS);
  const before = cpuMsOf(hive.identity.pid);
  const begunMs = performance.now();
  await sleep(IDLE_MS);
  const share = ((cpuMsOf(hive.identity.pid) - before) / (performance.now() - begunMs)) * 100;
  const memory = memoryOf(hive.identity.pid);
  return [
    {
      id: "idle_cpu",
      what: `hive with ${WORKERS} idle workers, share of one core`,
      value: share,
      unit: "%",
      atMost: 1,
      samples: 1,
    },
    {
      id: "idle_workers_anonymous",
      what: "the same, anonymous memory",
      value: memory.anonymousBytes / 1e6,
      unit: "MB",
      atMost: 70,
      samples: 1,
    },
  ];
}
