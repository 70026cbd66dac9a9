import { chmodSync, existsSync, mkdirSync, readFileSync, statfsSync, writeFileSync } from "node:fs";
import { availableParallelism, totalmem } from "node:os";
import { join } from "node:path";
import { scriptGpu, startTestHive, type TestHive, temporaryDirectory, until } from "@queen-and-hive/dev-env";
import { HIVE_ENDPOINTS, type HiveEvent, type SpawnRequest } from "@queen-and-hive/protocol";
import { expect, it } from "vitest";
import { fakeWorkerOrder, queenAt } from "./spawn-request.ts";

// A whole hive on a machine whose nvidia-smi is a script: what it tells, what it gives workers, and what it refuses.
// On a machine with AMD cards of its own these devices come on top.

const ID = "GPU-1a2b3c4d-0000-0000-0000-000000000001";
const WITHIN_MS = 30_000;
const queen = queenAt("http://127.0.0.1:1");

/** `used` in MiB is read from a file at every look. */
function writeTool(bin: string): void {
  mkdirSync(bin, { recursive: true });
  writeFileSync(join(bin, "used"), "1024");
  const script = `#!/bin/sh
case "$1" in
--query-gpu=*) echo "${ID}, NVIDIA GeForce RTX 4090, 24576, $(cat "$(dirname "$0")/used"), 7";;
esac
`;
  writeFileSync(join(bin, "nvidia-smi"), script);
  chmodSync(join(bin, "nvidia-smi"), 0o755);
}

async function metricsOf(hive: TestHive): Promise<string> {
  const response = await fetch(`${hive.url}/metrics`, { headers: { authorization: `Bearer ${hive.token}` } });
  return await response.text();
}

function needing(mebibytes: number): SpawnRequest {
  const order = fakeWorkerOrder(queen, [], "http");
  return { ...order, spec: { ...order.spec, needs: { devices: 1, memory_bytes: mebibytes * 1024 * 1024 } } };
}

it("a hive with a GPU shows it, gives it to workers, keeps some of it free, and measures it while idle", async () => {
  await using folder = await temporaryDirectory("qh-gpu");
  writeTool(folder.path);
  await using hive = await startTestHive({
    queen,
    config: { sample_every: "200ms", devices: { keep_free: "2GiB" } },
    env: { PATH: `${folder.path}:${process.env["PATH"] ?? ""}` },
  });
  const { devices, ...host } = await hive.peer.call(HIVE_ENDPOINTS.getCapabilities);
  const { bsize, blocks } = statfsSync(folder.path);
  expect(host).toMatchObject({ cpus: availableParallelism(), memory_total_bytes: totalmem(), os: "linux", arch: process.arch });
  expect(host.memory_free_bytes).toBeGreaterThan(0);
  expect(host.memory_free_bytes).toBeLessThan(totalmem());
  expect(host.disk_free_bytes).toBeGreaterThan(0);
  expect(host.disk_free_bytes).toBeLessThanOrEqual(bsize * blocks);
  expect(devices).toContainEqual({
    id: ID,
    kind: "cuda",
    name: "NVIDIA GeForce RTX 4090",
    memory_total_bytes: 24576 * 1024 * 1024,
    memory_free_bytes: 23552 * 1024 * 1024,
  });
  writeFileSync(folder.join("used"), "4096");
  const used = `hive_gpu_memory_used_bytes{device="${ID}"} ${4096 * 1024 * 1024}`;
  await until(async () => (await metricsOf(hive)).includes(used), WITHIN_MS, "the new number in the metrics");
  expect(await metricsOf(hive)).toContain(`hive_gpu_utilization_ratio{device="${ID}"} 0.07`);

  await expect(hive.peer.call(HIVE_ENDPOINTS.postWorker, { body: needing(18_433) })).rejects.toMatchObject({
    kind: "insufficient_memory",
    message: expect.stringContaining(`${ID} has 18GiB left (24GiB - 4GiB in use - 2GiB kept free)`),
  });
  const worker = await hive.peer.call(HIVE_ENDPOINTS.postWorker, { body: needing(18_432) });
  expect(worker.devices).toEqual([ID]);
  const variables = await until(
    () =>
      readFileSync(`/proc/${worker.pid}/environ`, "latin1")
        .split("\0")
        .filter((entry) => /^(CUDA|HIVE_DEVICES)/.test(entry)),
    WITHIN_MS,
    "its environment",
  );
  expect(variables.sort()).toEqual(["CUDA_DEVICE_ORDER=PCI_BUS_ID", `CUDA_VISIBLE_DEVICES=${ID}`, `HIVE_DEVICES=${ID}`]);
});

it("a tool that hangs holds up neither the hive nor, for long, a spawn", async () => {
  await using folder = await temporaryDirectory("qh-gpu");
  writeTool(folder.path);
  await using hive = await startTestHive({ queen, config: {}, env: { PATH: `${folder.path}:${process.env["PATH"] ?? ""}` } });
  await hive.peer.call(HIVE_ENDPOINTS.getCapabilities);
  // Not even TERM ends it; the sleep goes with its group at the end of the test.
  writeFileSync(folder.join("nvidia-smi"), `#!/bin/sh\ntouch "$(dirname "$0")/asked"\nexec sleep 20\n`);
  const spawned = hive.peer.call(HIVE_ENDPOINTS.postWorker, { body: needing(1) });
  await until(() => existsSync(folder.join("asked")), WITHIN_MS, "the tool to be asked");
  expect((await hive.peer.call(HIVE_ENDPOINTS.getHealth)).status).toBe("ok");
  // The device is still known, its memory is not: unknown is let in.
  expect((await spawned).devices).toEqual([ID]);
});

it("a stop proves that the GPU's memory is back, and says so where nvidia-smi hangs", async () => {
  await using folder = await temporaryDirectory("qh-gpu");
  const gpu = await scriptGpu(folder.path);
  await using hive = await startTestHive({ queen, config: {}, env: { PATH: `${gpu.bin}:${process.env["PATH"] ?? ""}` } });
  const listening = new AbortController();
  const steps: Extract<HiveEvent, { type: "step" }>[] = [];
  const listen = async (): Promise<void> => {
    for await (const { data } of hive.peer.events(HIVE_ENDPOINTS.getEvents, { signal: listening.signal })) {
      const event: HiveEvent = JSON.parse(data);
      if (event.type === "step" && event.step === "device_memory") steps.push(event);
    }
  };
  const listened = listen().catch(() => undefined);
  const spawnReady = async (): Promise<string> => {
    const order = needing(8_192);
    const command = gpu.holding(8_192, order.spec.runtime.command ?? []);
    const body = { ...order, spec: { ...order.spec, runtime: { ...order.spec.runtime, command: [...command] } } };
    const { worker_id } = await hive.peer.call(HIVE_ENDPOINTS.postWorker, { body });
    const isReady = async () => (await hive.peer.call(HIVE_ENDPOINTS.getWorker, { params: { worker_id } })).state === "ready";
    await until(isReady, WITHIN_MS, "the worker to be ready");
    return worker_id;
  };
  const stop = (worker_id: string) => hive.peer.call(HIVE_ENDPOINTS.deleteWorker, { params: { worker_id } });
  await stop(await spawnReady());
  const second = await spawnReady();
  const sampled = await gpu.looks();
  await until(async () => (await gpu.looks()) > sampled + 1, WITHIN_MS, "the sample of the ready worker");
  await gpu.hang();
  await stop(second);
  await until(() => steps.length === 2, WITHIN_MS, "the steps of both stops");
  expect(steps).toMatchObject([
    { outcome: "ok", pids: [] },
    { outcome: "over", reason: expect.stringMatching(/did not answer within \d+ ms/) },
  ]);
  listening.abort();
  await listened;
}, 120_000);
