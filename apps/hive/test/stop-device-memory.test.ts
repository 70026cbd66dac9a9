import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Deadline, isProcessAlive, type ProcessIdentity, signalProcess } from "@queen-and-hive/daemon";
import { afterEach, expect, test } from "vitest";
import type { DeviceReading } from "../src/resources/devices.ts";
import {
  Cleanup,
  fastRestart,
  identityOf,
  openTestHive,
  shellSpec,
  spawnRequest,
  type TestHive,
  untilState,
} from "./supervision-kit.ts";
import { GIB, TestDevices } from "./test-devices.ts";

const HOUR_MS = 3_600_000;

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

/** A GPU whose driver gives a process's memory back when it ends, or never; it counts how often it is asked. */
class Gpu extends TestDevices {
  reads = 0;
  /** How many looks come after the end of the holder's process. */
  readsAfterEnd = 0;
  holder: ProcessIdentity | null = null;
  onEnd = (): void => undefined;
  heldBytes = 8 * GIB;
  /** Whether the driver says which process has what. */
  names = true;
  givesBack = true;
  /** Of a process that has nothing to do with us. */
  strangerBytes = GIB;
  /** What becomes of looks after the end. */
  afterEnd: "answers" | "hangs" | "is gone" = "answers";

  constructor() {
    super([{ id: "GPU-1" }]);
  }

  override async read(): Promise<DeviceReading> {
    this.reads += 1;
    const { holder } = this;
    const hasEnded = holder !== null && !isProcessAlive(holder);
    if (hasEnded && this.readsAfterEnd === 0) this.onEnd();
    if (hasEnded) this.readsAfterEnd += 1;
    if (hasEnded && this.afterEnd === "hangs") return await new Promise<never>(() => undefined);
    if (hasEnded && this.afterEnd === "is gone") this.gpus.length = 0;
    const held = holder !== null && !(hasEnded && this.givesBack) ? this.heldBytes : 0;
    for (const gpu of this.gpus) gpu.usedBytes = this.strangerBytes + held;
    const own = held > 0 && holder !== null ? [{ pid: holder.pid, deviceId: "GPU-1", bytes: held }] : [];
    this.uses = this.names ? [{ pid: 1, deviceId: "GPU-1", bytes: this.strangerBytes }, ...own] : [];
    return await super.read();
  }
}

/** No sampler looks meanwhile, so that every look is one of the spawn or of the stop. */
async function openHive(gpu: Gpu): Promise<TestHive> {
  return await openTestHive(cleanup, { config: { sampleEveryMs: HOUR_MS }, options: { devices: gpu } });
}

/** Spawns a worker that holds the GPU's memory, and stops it; the step about memory. */
async function memoryStep(hive: TestHive, gpu: Gpu, heldBytes: number) {
  gpu.holder = null;
  const request = spawnRequest(shellSpec("exec sleep 600", { devices: ["GPU-1"] }));
  const { record } = await hive.supervision.spawn(request);
  Object.assign(gpu, { heldBytes, reads: 0, readsAfterEnd: 0, holder: heldBytes > 0 ? identityOf(record) : null });
  await hive.supervision.stop(request.worker_id, Deadline.in(20_000));
  return hive.steps.findLast(({ step }) => step === "device_memory");
}

test("the first look after the end proves that the memory is back, whatever others do meanwhile", async () => {
  const gpu = new Gpu();
  const hive = await openHive(gpu);
  expect(await memoryStep(hive, gpu, 8 * GIB)).toMatchObject({ outcome: "ok", pids: [] });
  expect(gpu.reads).toBe(2);
  gpu.onEnd = () => {
    gpu.strangerBytes = 10 * GIB;
  };
  expect(await memoryStep(hive, gpu, 8 * GIB)).toMatchObject({ outcome: "ok" });
  expect([gpu.reads, gpu.readsAfterEnd]).toEqual([2, 1]);
});

test("the first look proves it too where the driver does not tell processes apart", async () => {
  const gpu = new Gpu();
  gpu.names = false;
  const hive = await openHive(gpu);
  expect(await memoryStep(hive, gpu, 8 * GIB)).toMatchObject({ outcome: "ok" });
  expect(gpu.reads).toBe(2);
});

test("nothing is waited for after a worker that held nothing, and nobody looks again", async () => {
  const gpu = new Gpu();
  const hive = await openHive(gpu);
  expect(await memoryStep(hive, gpu, 0)).toMatchObject({ outcome: "ok", reason: "it had none by the last look" });
  gpu.names = false;
  expect(await memoryStep(hive, gpu, 0)).toMatchObject({ outcome: "ok", reason: "it had none by the last look" });
  expect(gpu.reads).toBe(1);
});

test("the sample of a ready worker says what it has: no tool runs before its TERM", async () => {
  const gpu = new Gpu();
  const hive = await openTestHive(cleanup, { config: { sampleEveryMs: 50 }, options: { devices: gpu } });
  const spec = shellSpec("echo listening; exec sleep 600", { devices: ["GPU-1"] });
  const request = spawnRequest({ ...spec, runtime: { ...spec.runtime, ready: { log: "listening" } } });
  const { record } = await hive.supervision.spawn(request);
  gpu.holder = identityOf(record);
  await untilState(hive, request.worker_id, "ready");
  const { reads } = gpu;
  await expect.poll(() => gpu.reads, { timeout: 20_000 }).toBeGreaterThan(reads + 1);
  // Asked from now on, it would never say anything.
  gpu.read = () => new Promise<never>(() => undefined);
  await hive.supervision.stop(request.worker_id, Deadline.in(20_000));
  expect(hive.steps.map(({ step, outcome }) => `${step} ${outcome}`)).toEqual([
    ...["idle ok", "term ok", "port ok", "device_memory over", "gone ok"],
  ]);
  // That it had some is known, so what is not proven is that it is back.
  expect(hive.steps.find(({ step }) => step === "device_memory")?.reason).toMatch(/^the devices' driver did not answer within/);
});

test("where the driver does not tell processes apart, a worker's next start is measured anew", async () => {
  const gpu = new Gpu();
  gpu.names = false;
  const hive = await openTestHive(cleanup, { config: { sampleEveryMs: 50 }, options: { devices: gpu } });
  const script = "until [ -e go ]; do sleep 0.05; done; echo listening; exec sleep 600";
  const spec = shellSpec(script, { devices: ["GPU-1"], restart: fastRestart() });
  const request = spawnRequest({ ...spec, runtime: { ...spec.runtime, ready: { log: "listening" } } });
  const go = join(hive.stateDir, "workers", request.worker_id, "go");
  /** What it takes it has when it becomes ready, and then it is looked at. */
  const takes = async (incarnation: number, heldBytes: number): Promise<ProcessIdentity> => {
    const holder = identityOf(await untilState(hive, request.worker_id, "loading", incarnation));
    Object.assign(gpu, { heldBytes, holder });
    writeFileSync(go, "");
    await untilState(hive, request.worker_id, "ready", incarnation);
    const { reads } = gpu;
    await expect.poll(() => gpu.reads, { timeout: 20_000 }).toBeGreaterThan(reads + 1);
    return holder;
  };
  await hive.supervision.spawn(request);
  const first = await takes(1, 8 * GIB);
  rmSync(go);
  signalProcess(first, "SIGKILL");
  await takes(2, 2 * GIB);
  await hive.supervision.stop(request.worker_id, Deadline.in(20_000));
  expect(hive.steps.findLast(({ step }) => step === "device_memory")).toMatchObject({ outcome: "ok" });
});

test("memory that never comes back, a tool that hangs and one that is gone are said, and held up by for seconds at most", async () => {
  const gpu = new Gpu();
  const hive = await openHive(gpu);
  gpu.givesBack = false;
  const kept = await memoryStep(hive, gpu, 8 * GIB);
  expect(kept).toMatchObject({
    outcome: "over",
    reason: expect.stringMatching(/^8GiB of GPU-1 did not come back within \d+ ms$/),
  });
  gpu.givesBack = true;
  gpu.afterEnd = "hangs";
  const hung = await memoryStep(hive, gpu, 8 * GIB);
  expect(hung).toMatchObject({ outcome: "over", reason: expect.stringMatching(/driver did not answer within \d+ ms$/) });
  for (const step of [kept, hung]) expect(step?.durationMs).toBeLessThan(10_000);
  gpu.afterEnd = "is gone";
  const gone = await memoryStep(hive, gpu, 8 * GIB);
  expect(gone).toMatchObject({ outcome: "over", reason: "GPU-1 is not shown any more: the driver's tool may be gone" });
  expect(hive.steps.filter(({ step }) => step === "gone").map(({ outcome }) => outcome)).toEqual(["ok", "ok", "ok"]);
}, 60_000);
