import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Deadline, type Log, readBootId, silentLog, systemClock } from "@queen-and-hive/daemon";
import type { WorkerSpec } from "@queen-and-hive/protocol";
import { afterEach, expect, test } from "vitest";
import { useOfTree } from "../src/process/machine-facts.ts";
import { readProcessTable } from "../src/process/process-table.ts";
import { Sightings } from "../src/process/sightings.ts";
import { MemoryNotes } from "../src/store/memory-notes.ts";
import { createSupervisor } from "../src/workers/supervisor.ts";
import {
  Cleanup,
  fastRestart,
  openTestHive,
  shellSpec,
  spawnRequest,
  type TestHive,
  temporaryDir,
  until,
  untilState,
} from "./supervision-kit.ts";
import { GIB, TestDevices } from "./test-devices.ts";

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

/** A worker that loads for ever and needs so much. */
function loading(gib: number | "auto", more: Partial<WorkerSpec> & { readonly count?: number } = {}): WorkerSpec {
  const { count = 1, ...rest } = more;
  const needs = { devices: count, memory_bytes: gib === "auto" ? ("auto" as const) : gib * GIB };
  return shellSpec("exec sleep 600", { needs, ...rest });
}

/** A worker that is ready at once. */
function serving(gib: number | "auto", more: Partial<WorkerSpec> = {}): WorkerSpec {
  const spec = loading(gib, more);
  return { ...spec, runtime: { name: "test", command: ["sh", "-c", "echo up; exec sleep 600"], ready: { log: "^up$" } } };
}

/** A worker that is ready once there is a file `go` in its directory. */
function servingLater(gib: number | "auto"): WorkerSpec {
  const command = ["sh", "-c", "until [ -e go ]; do sleep 0.05; done; echo up; exec sleep 600"];
  return { ...loading(gib), runtime: { name: "test", command, ready: { log: "^up$" } } };
}

async function open(devices: TestDevices, config: Parameters<typeof openTestHive>[1] = {}): Promise<TestHive> {
  return await openTestHive(cleanup, { ...config, options: { devices, ...config?.options } });
}

test("of two workers that start at the same time and do not fit together, one is refused with the arithmetic", async () => {
  const hive = await open(new TestDevices([{ id: "GPU-1", usedBytes: 2 * GIB }]));
  const results = await Promise.allSettled([loading(12), loading(12)].map((spec) => hive.supervision.spawn(spawnRequest(spec))));
  expect(results.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
  const refusal = results.find((result) => result.status === "rejected");
  expect(refusal?.reason).toMatchObject({
    kind: "insufficient_memory",
    message: expect.stringContaining(
      "it needs 12GiB (place.memory says so), but GPU-1 has 10GiB left (24GiB - 2GiB in use - 12GiB reserved for workers that load)",
    ),
    details: { needed_bytes: 12 * GIB, free_bytes: 10 * GIB, devices_wanted: 1, missing_bytes: { "GPU-1": 2 * GIB } },
  });
  expect(hive.supervision.list()).toHaveLength(1);
});

test("workers go to the device with the most room, and each sees its own", async () => {
  const hive = await open(new TestDevices([{ id: "GPU-1" }, { id: "GPU-2", usedBytes: 1 * GIB }]));
  const records = [];
  for (const spec of [loading(16), loading(16)]) records.push((await hive.supervision.spawn(spawnRequest(spec))).record);
  expect(records.map(({ devices }) => devices)).toEqual([["GPU-1"], ["GPU-2"]]);
  const environments = records.map(({ pid }) => until("it runs", () => environmentOf(pid)));
  expect((await Promise.all(environments)).map((variables) => variables["CUDA_VISIBLE_DEVICES"])).toEqual(["GPU-1", "GPU-2"]);
});

test("a worker that spreads over two devices gets two, and needs its part on each", async () => {
  const hive = await open(new TestDevices([{ id: "GPU-1" }, { id: "GPU-2", usedBytes: 10 * GIB }]));
  await expect(hive.supervision.spawn(spawnRequest(loading(32, { count: 2 })))).rejects.toMatchObject({
    details: { needed_bytes: 16 * GIB, free_bytes: 14 * GIB, devices_wanted: 2, missing_bytes: { "GPU-1": 0, "GPU-2": 2 * GIB } },
  });
  const { record } = await hive.supervision.spawn(spawnRequest(loading(28, { count: 2 })));
  expect(record.devices).toEqual(["GPU-1", "GPU-2"]);
});

test("devices.use and keep_free are honoured, and a device that is not there is said with those that are", async () => {
  const devices = new TestDevices([{ id: "GPU-1" }, { id: "GPU-2" }]);
  const hive = await open(devices, { config: { devices: { use: ["GPU-2"], keepFreeBytes: 4 * GIB } } });
  await expect(hive.supervision.spawn(spawnRequest(loading(21)))).rejects.toMatchObject({
    message: expect.stringContaining("GPU-2 has 20GiB left (24GiB - 0B in use - 4GiB kept free)"),
  });
  expect((await hive.supervision.spawn(spawnRequest(loading(20)))).record.devices).toEqual(["GPU-2"]);
  await expect(hive.supervision.spawn(spawnRequest(loading(1, { devices: ["GPU-9"] })))).rejects.toMatchObject({
    kind: "device_missing",
    message: expect.stringContaining("GPU-9 is not among GPU-2"),
  });
  await expect(hive.supervision.spawn(spawnRequest(loading(1, { count: 2 })))).rejects.toMatchObject({ kind: "device_missing" });
});

test("memory that an ended worker has not given back yet is waited for", async () => {
  const devices = new TestDevices([{ id: "GPU-1" }]);
  const hive = await open(devices);
  const first = spawnRequest(serving(20));
  await hive.supervision.spawn(first);
  await untilState(hive, first.worker_id, "ready");
  const [gpu] = devices.gpus;
  if (gpu === undefined) throw new Error("there is a GPU");
  gpu.usedBytes = 20 * GIB;
  await hive.supervision.stop(first.worker_id, Deadline.in(10_000));
  const second = hive.supervision.spawn(spawnRequest(loading(20)));
  // The driver is slower than the stop.
  await systemClock.sleep(300);
  gpu.usedBytes = 0;
  expect((await second).created).toBe(true);
});

test("nobody waits for memory because a worker begins, or because one without a device restarts", async () => {
  let looks = 0;
  const devices = new (class extends TestDevices {
    override async read() {
      looks += 1;
      return await super.read();
    }
  })([{ id: "GPU-1", usedBytes: 2 * GIB }]);
  const hive = await open(devices, { config: { sampleEveryMs: 600_000 } });
  const looksForRefusal = async (): Promise<number> => {
    const before = looks;
    await expect(hive.supervision.spawn(spawnRequest(loading(20)))).rejects.toMatchObject({ kind: "insufficient_memory" });
    return looks - before;
  };
  await hive.supervision.spawn(spawnRequest(loading(4)));
  expect(await looksForRefusal()).toBe(1);
  const restarting = spawnRequest(shellSpec("exit 1", { restart: fastRestart({ unready_in_a_row: 1 }) }));
  await hive.supervision.spawn(restarting);
  await untilState(hive, restarting.worker_id, "failed");
  expect(await looksForRefusal()).toBe(1);
});

test("what is loaded counts once: as used, no longer as reserved", async () => {
  const devices = new TestDevices([{ id: "GPU-1" }]);
  const hive = await open(devices);
  const first = spawnRequest(loading(16));
  const { record } = await hive.supervision.spawn(first);
  const [gpu] = devices.gpus;
  if (gpu === undefined || record.pid === null) throw new Error("there is a GPU and a process");
  gpu.usedBytes = 10 * GIB;
  devices.uses = [{ pid: record.pid, deviceId: "GPU-1", bytes: 10 * GIB }];
  await expect(hive.supervision.spawn(spawnRequest(loading(9)))).rejects.toMatchObject({
    message: expect.stringContaining("24GiB - 10GiB in use - 6GiB reserved"),
  });
  expect((await hive.supervision.spawn(spawnRequest(loading(8)))).created).toBe(true);
});

test("where the driver does not tell processes apart, what came since a worker got its device is its own", async () => {
  const devices = new TestDevices([{ id: "GPU-1", usedBytes: 1 * GIB }]);
  const stateDir = temporaryDir(cleanup);
  const hive = await open(devices, { stateDir });
  const [gpu] = devices.gpus;
  if (gpu === undefined) throw new Error("there is a GPU");
  const first = spawnRequest(loading(15));
  await hive.supervision.spawn(first);
  gpu.usedBytes = 11 * GIB;
  await expect(hive.supervision.spawn(spawnRequest(loading(9)))).rejects.toMatchObject({
    message: expect.stringContaining("24GiB - 11GiB in use - 5GiB reserved"),
  });
  await hive.supervision.stop(first.worker_id, Deadline.in(10_000));
  gpu.usedBytes = 1 * GIB;
  const second = spawnRequest(servingLater("auto"));
  await hive.supervision.spawn(second);
  gpu.usedBytes = 7 * GIB;
  writeFileSync(join(hive.stateDir, "workers", second.worker_id, "go"), "");
  await until("it is noted", () => readNotes(stateDir).includes(String(6 * GIB)));
  // What others take afterwards is not its own.
  gpu.usedBytes = 20 * GIB;
  await until("a round has passed", () => hive.supervision.get(second.worker_id)?.resident_bytes);
  expect(readNotes(stateDir)).not.toContain(String(19 * GIB));
});

test("an unknown need is let in, and what the model then really took is used from then on, also by the next daemon", async () => {
  const devices = new TestDevices([{ id: "GPU-1" }]);
  const stateDir = temporaryDir(cleanup);
  const warnings: (object | undefined)[] = [];
  const log: Log = { ...silentLog, warn: (message, fields) => void warnings.push({ message, ...fields }), child: () => log };
  const hive = await open(devices, { stateDir, options: { log } });
  const first = spawnRequest(serving("auto"));
  const { record } = await hive.supervision.spawn(first);
  const warning = { message: "a worker is started whose need of memory nobody knows", worker_id: first.worker_id };
  expect(warnings).toContainEqual({ ...warning, model: "tiny" });
  await untilState(hive, first.worker_id, "ready");
  const [gpu] = devices.gpus;
  if (gpu === undefined || record.pid === null) throw new Error("there is a GPU and a process");
  gpu.usedBytes = 15 * GIB;
  devices.uses = [{ pid: record.pid, deviceId: "GPU-1", bytes: 15 * GIB }];
  await until("it is noted", () => readNotes(stateDir).includes(String(15 * GIB)));
  await expect(hive.supervision.spawn(spawnRequest(serving("auto")))).rejects.toMatchObject({
    kind: "insufficient_memory",
    message: expect.stringContaining("it needs 15GiB (the most that it has taken so far)"),
  });
  // It grows, and shrinks again: what it took once it may take again.
  for (const gib of [18, 9]) {
    gpu.usedBytes = gib * GIB;
    devices.uses = [{ pid: record.pid, deviceId: "GPU-1", bytes: gib * GIB }];
    await until("it is noted", () => readNotes(stateDir).includes(String(18 * GIB)));
    await expect(hive.supervision.spawn(spawnRequest(serving("auto")))).rejects.toMatchObject({
      message: expect.stringContaining(`it needs 18GiB (the most that it has taken so far), but GPU-1 has ${24 - gib}GiB left`),
    });
  }
  // Another command line is another need.
  expect((await hive.supervision.spawn(spawnRequest(serving("auto", { args: ["x"] })))).created).toBe(true);
  expect(MemoryNotes.open(join(stateDir, "memory.json"), systemClock)).toBeDefined();
});

test("the next daemon keeps what a worker that still loads was promised", async () => {
  const devices = new TestDevices([{ id: "GPU-1" }]);
  const hive = await open(devices);
  await hive.supervision.spawn(spawnRequest(loading(16)));
  await hive.supervision[Symbol.asyncDispose]();
  const next = createSupervisor(hive.options);
  cleanup.defer(async () => {
    await next.stopAll(Deadline.in(10_000));
    await next[Symbol.asyncDispose]();
  });
  await next.recover();
  expect(next.list().map((record) => record.devices)).toEqual([["GPU-1"]]);
  await expect(next.spawn(spawnRequest(loading(16)))).rejects.toMatchObject({ kind: "insufficient_memory" });
});

test("a machine without GPUs is one device that any number of workers share", async () => {
  const hive = await open(new TestDevices());
  const records = [];
  for (let index = 0; index < 3; index += 1) records.push((await hive.supervision.spawn(spawnRequest(loading("auto")))).record);
  expect(records.map(({ devices }) => devices)).toEqual([["cpu"], ["cpu"], ["cpu"]]);
  await expect(hive.supervision.spawn(spawnRequest(loading(1_000_000)))).rejects.toMatchObject({ kind: "model_too_large" });
  await expect(hive.supervision.spawn(spawnRequest(loading("auto", { count: 2 })))).rejects.toMatchObject({
    kind: "device_missing",
  });
});

test("a worker that wants no GPU counts on the machine's memory and sees none", async () => {
  const hive = await open(new TestDevices([{ id: "GPU-1", usedBytes: 24 * GIB }]));
  const { record } = await hive.supervision.spawn(spawnRequest(loading("auto", { count: 0 })));
  expect(record.devices).toEqual(["cpu"]);
  const variables = await until("it runs", () => environmentOf(record.pid));
  expect(variables).toMatchObject({ CUDA_VISIBLE_DEVICES: "", HIVE_DEVICES: "cpu" });
});

test("a GGUF file tells what it needs", async () => {
  const hive = await open(new TestDevices([{ id: "GPU-1", totalBytes: GIB / 8 }]));
  const path = new URL("../../../models/tiny.gguf", import.meta.url).pathname;
  const spec = loading("auto", { model: { id: "tiny", path }, args: ["--context", "1000000"] });
  const runtime = { ...spec.runtime, memory: { gguf: { context_flags: ["--context"] } } };
  await expect(hive.supervision.spawn(spawnRequest({ ...spec, runtime }))).rejects.toMatchObject({
    kind: "model_too_large",
    message: expect.stringMatching(
      /it needs 3\.2GiB \(estimated: 1\.9MiB weights \+ 3GiB context of 1000000 tokens \+ 256\.1MiB overhead\)/,
    ),
  });
});

test("the tree of a worker is measured whole, and its identities are kept for the next daemon", async () => {
  const hive = await open(new TestDevices());
  const request = spawnRequest(shellSpec("sleep 600 & sleep 601 & wait"));
  await hive.supervision.spawn(request);
  const seen = new Sightings(join(hive.stateDir, "workers", request.worker_id, "seen-1"), readBootId(), silentLog);
  const kept: readonly string[] = await until("its three processes are recorded", () => {
    const keys = seen.recall()?.keys ?? [];
    return keys.length >= 4 ? keys : null;
  });
  const table = readProcessTable();
  const session = [...table].find(([pid, stat]) => kept.includes(`${pid}:${stat.start_time}`))?.[1].session ?? 0;
  const sleeps = [...table].filter(([, stat]) => stat.session === session).map(([pid, stat]) => `${pid}:${stat.start_time}`);
  expect(kept).toEqual(expect.arrayContaining(sleeps));
  const record = await until("it is measured", () => {
    const found = hive.supervision.get(request.worker_id);
    return found?.resident_bytes === undefined ? null : found;
  });
  const engine = new Map([...table].filter(([pid]) => pid === record.pid));
  const alone = useOfTree(engine, { pid: session, start_time: table.get(session)?.start_time ?? 0 }).residentBytes;
  expect(alone).toBeGreaterThan(0);
  expect(record.resident_bytes).toBeGreaterThan(alone * 1.5);
});

test("of what a model took on different runs, the most counts, also for the next daemon", async () => {
  const path = join(temporaryDir(cleanup), "memory.json");
  const notes = MemoryNotes.open(path, systemClock);
  for (const bytes of [10 * GIB, 12 * GIB, 8 * GIB]) await notes.note("chat", bytes);
  expect([notes.get("chat"), MemoryNotes.open(path, systemClock).get("chat")]).toEqual([12 * GIB, 12 * GIB]);
});

test("a damaged file of notes is as none", () => {
  const path = join(temporaryDir(cleanup), "memory.json");
  for (const text of ["", "{", '{"version": 2}', '{"version": 1, "notes": [{"key": 7}]}']) {
    writeFileSync(path, text);
    expect(MemoryNotes.open(path, systemClock).get("x")).toBe(null);
  }
});

function environmentOf(pid: number | null): Readonly<Record<string, string>> | null {
  const command = readFileSync(`/proc/${pid}/cmdline`, "latin1");
  if (!command.startsWith("sleep")) return null;
  const entries = readFileSync(`/proc/${pid}/environ`, "latin1").split("\0");
  return Object.fromEntries(entries.map((entry) => [entry.slice(0, entry.indexOf("=")), entry.slice(entry.indexOf("=") + 1)]));
}

function readNotes(stateDir: string): string {
  try {
    return readFileSync(join(stateDir, "memory.json"), "utf8");
  } catch {
    return "";
  }
}
