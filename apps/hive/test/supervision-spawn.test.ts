import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { newWorkerId } from "@queen-and-hive/protocol";
import { afterEach, expect, test } from "vitest";
import { createSupervisor } from "../src/workers/supervisor.ts";
import {
  Cleanup,
  fastRestart,
  listenOn,
  markedPids,
  nodeSpec,
  openTestHive,
  readIfThere,
  shellSpec,
  spawnRequest,
  temporaryDir,
  testConfig,
  until,
  untilState,
} from "./supervision-kit.ts";
import { TestDevices } from "./test-devices.ts";

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

test("the same spawn again, also at the same time, is the same worker; another spec is a conflict", async () => {
  const hive = await openTestHive(cleanup);
  const request = spawnRequest(shellSpec("exec sleep 600", { labels: { a: "1", b: "2" } }));
  const reordered = { ...request, spec: { ...request.spec, labels: { b: "2", a: "1" } } };
  const answers = await Promise.all([
    hive.supervision.spawn(request),
    hive.supervision.spawn(reordered),
    hive.supervision.spawn(request),
  ]);
  expect(answers.map(({ created }) => created)).toEqual([true, false, false]);
  expect(new Set(answers.map(({ record }) => record.pid)).size).toBe(1);
  expect(hive.supervision.list()).toHaveLength(1);
  const other = { ...request, spec: { ...request.spec, slots: 3 } };
  await expect(hive.supervision.spawn(other)).rejects.toMatchObject({ kind: "spec_conflict" });
});

test("a worker learns everything from its environment, and nothing that is the hive's own", async () => {
  const hive = await openTestHive(cleanup, {
    config: { env: { HF_HOME: "/data/hf", SHARED: "host" } },
    options: {
      devices: new TestDevices([{ id: "GPU-1a" }, { id: "GPU-2b" }]),
      environment: { PATH: process.env["PATH"], INHERITED: "yes", HIVE_TOKEN: "secret", HIVE_STATE_ID: "another" },
    },
  });
  const request = spawnRequest(
    shellSpec("exec sleep 600", { env: { SHARED: "model" }, devices: ["GPU-1a", "GPU-2b"], slots: 3 }),
  );
  const { record } = await hive.supervision.spawn(request);
  // The engine's own environment, once the shell has become it.
  await until("the engine runs", () => readFileSync(`/proc/${record.pid}/cmdline`, "latin1").startsWith("sleep"));
  const variables = new Map(
    readFileSync(`/proc/${record.pid}/environ`, "latin1")
      .split("\0")
      .map((entry) => splitOnce(entry)),
  );
  expect(Object.fromEntries(variables)).toMatchObject({
    HIVE_WORKER_ID: request.worker_id,
    HIVE_STATE_ID: hive.stateId,
    HIVE_MODEL: "tiny",
    HIVE_MODEL_PATH: "",
    HIVE_HOST: "127.0.0.1",
    HIVE_PORT: String(record.port),
    HIVE_DEVICES: "GPU-1a,GPU-2b",
    HIVE_SLOTS: "3",
    CUDA_VISIBLE_DEVICES: "GPU-1a,GPU-2b",
    CUDA_DEVICE_ORDER: "PCI_BUS_ID",
    SPT_NOENV: "1",
    HF_HOME: "/data/hf",
    SHARED: "model",
    INHERITED: "yes",
  });
  expect(variables.has("HIVE_TOKEN")).toBe(false);
  expect(variables.get("HIVE_CALLBACK_URL")).toMatch(/\/v1\/workers\/ready$/);
});

test("placeholders are filled in, one element stays one argument, and the model's arguments follow", async () => {
  const models = temporaryDir(cleanup);
  writeFileSync(join(models, "a model.gguf"), "x");
  const hive = await openTestHive(cleanup, { config: { modelsDir: models, portsPerWorker: 2 } });
  const spec = shellSpec("");
  const command = [
    "sh",
    "-c",
    'for a in "$@"; do echo "[$a]"; done; exec sleep 600',
    "x",
    "{host}:{port}",
    "{ports}",
    "{model_path}",
    "{device_count} {slots}",
    "{unknown}",
    "$HOME",
  ];
  const request = spawnRequest({
    ...spec,
    model: { id: "tiny", path: "a model.gguf" },
    runtime: { name: "test", command },
    args: ["-c", "a b"],
    slots: 4,
  });
  const { record } = await hive.supervision.spawn(request);
  const port = record.port ?? 0;
  const lines = await until("all arguments are printed", () => {
    const printed = readIfThere(join(hive.stateDir, "workers", request.worker_id, "output.log"))
      .trim()
      .split("\n");
    return printed.length === 8 ? printed : null;
  });
  expect(lines).toEqual([
    `[127.0.0.1:${port}]`,
    `[${port},${port + 1}]`,
    `[${join(models, "a model.gguf")}]`,
    "[1 4]",
    "[{unknown}]",
    "[$HOME]",
    "[-c]",
    "[a b]",
  ]);
});

test("a port that a stranger has is skipped, and when all are taken it is said by whom", async () => {
  const config = await testConfig();
  const { first } = config.workerPorts;
  const stranger = createServer();
  await listenOn(stranger, first);
  cleanup.defer(() => void stranger.close());
  const hive = await openTestHive(cleanup, { config: { workerPorts: { first, last: first + 1 } } });
  const { record } = await hive.supervision.spawn(spawnRequest(nodeSpec()));
  expect(record.port).toBe(first + 1);
  const refused = hive.supervision.spawn(spawnRequest(nodeSpec()));
  await expect(refused).rejects.toMatchObject({ kind: "port_in_use" });
  await expect(refused).rejects.toThrow(new RegExp(`1 by workers of this hive, ${first} by process ${process.pid}`));
  expect(hive.supervision.list()).toHaveLength(1);
  expect(readdirSync(join(hive.stateDir, "workers"))).toHaveLength(1);
});

test("what cannot work is refused with its kind, and leaves nothing behind", async () => {
  const models = temporaryDir(cleanup);
  mkdirSync(join(models, "inside"));
  writeFileSync(join(models, "outside.gguf"), "x");
  symlinkSync(join(models, "outside.gguf"), join(models, "inside", "link.gguf"));
  const hive = await openTestHive(cleanup, {
    config: {
      modelsDir: join(models, "inside"),
      modelRoots: [join(models, "inside")],
      runtimes: { gone: { bin: "/nowhere/engine" } },
    },
  });
  const spec = shellSpec("exec sleep 600");
  const withCommand = (name: string, command: string[]) => ({ ...spec, runtime: { name, command } });
  const cases: readonly [string, object, object][] = [
    ["a variable of the hive's own", { ...spec, env: { HIVE_TOKEN: "x" } }, { kind: "invalid_body" }],
    ["a line break in an argument", { ...spec, args: ["a\nb"] }, { kind: "invalid_body", param: "/spec/args/0" }],
    ["a NUL byte in a command", withCommand("test", ["sh", "a\0b"]), { kind: "invalid_body" }],
    ["a pattern that is none", { ...spec, runtime: { ...spec.runtime, ready: { log: "(" } } }, { kind: "invalid_body" }],
    ["a runtime without a command", { ...spec, runtime: { name: "vllm" } }, { kind: "runtime_unavailable" }],
    ["an embedded worker that is not there", { ...spec, runtime: { name: "embedded" } }, { kind: "runtime_unavailable" }],
    [
      "a program that is not there",
      withCommand("test", ["no-such-engine"]),
      { kind: "spawn_failed", details: { cause: "runtime_missing" } },
    ],
    [
      "a host's program that is not there",
      withCommand("gone", ["sh"]),
      { kind: "spawn_failed", details: { cause: "runtime_missing" } },
    ],
    ["a model that is not there", { ...spec, model: { id: "m", path: "none.gguf" } }, { kind: "model_missing" }],
    ["a model outside of the roots", { ...spec, model: { id: "m", path: "link.gguf" } }, { kind: "model_missing" }],
  ];
  for (const [what, bad, error] of cases) {
    await expect(hive.supervision.spawn({ ...spawnRequest(spec), ...{ spec: { ...spec, ...bad } } }), what).rejects.toMatchObject(
      error,
    );
  }
  expect(hive.supervision.list()).toEqual([]);
  expect(readdirSync(join(hive.stateDir, "workers"))).toEqual([]);
  expect(markedPids(hive.stateId)).toEqual([]);
  expect(hive.exited).toEqual([]);
});

test("a model that disappears is a cause of its own when the worker is started again", async () => {
  const models = temporaryDir(cleanup);
  const model = join(models, "m.gguf");
  writeFileSync(model, "x");
  const hive = await openTestHive(cleanup, { config: { modelsDir: models } });
  const request = spawnRequest({
    ...shellSpec('rm -f "$HIVE_MODEL_PATH"; exit 1', { restart: fastRestart() }),
    model: { id: "m", path: "m.gguf" },
  });
  await hive.supervision.spawn(request);
  const record = await untilState(hive, request.worker_id, "failed", 2);
  expect(record.exit).toMatchObject({ cause: "model_missing", exit_code: null });
  expect(existsSync(model)).toBe(false);
});

test("the host's own program wins over the recipe's", async () => {
  const dir = temporaryDir(cleanup);
  const bin = join(dir, "engine");
  writeFileSync(bin, "#!/bin/sh\necho mine >mine\nexec sleep 600\n");
  chmodSync(bin, 0o755);
  const hive = await openTestHive(cleanup, { config: { runtimes: { test: { bin } } } });
  const request = spawnRequest(shellSpec("exit 9"));
  await hive.supervision.spawn(request);
  await until("it ran", () => readIfThere(join(hive.stateDir, "workers", request.worker_id, "mine")) === "mine\n");
});

test("a hive keeps at most its limit of workers", async () => {
  const { limits } = await testConfig();
  const hive = await openTestHive(cleanup, { config: { limits: { ...limits, workers: 1 } } });
  await hive.supervision.spawn(spawnRequest(shellSpec("exec sleep 600")));
  await expect(hive.supervision.spawn(spawnRequest(shellSpec("exec sleep 600")))).rejects.toMatchObject({ kind: "spawn_failed" });
});

test("no engine runs when its identity cannot be recorded", async () => {
  const hive = await openTestHive(cleanup);
  const request = spawnRequest(shellSpec("echo ran >../ran; exec sleep 600"));
  const dir = join(hive.stateDir, "workers", request.worker_id);
  // The intent was written; between it and the identity the ledger becomes a place that cannot be written.
  const subscription = hive.supervision.changes.subscribe(() => breakLedger(dir));
  await expect(hive.supervision.spawn(request)).rejects.toMatchObject({ kind: "storage_failed" });
  subscription[Symbol.dispose]();
  expect(existsSync(join(hive.stateDir, "workers", "ran"))).toBe(false);
  expect(markedPids(hive.stateId)).toEqual([]);
  expect(hive.supervision.list()).toEqual([]);
  // Whoever heard of it hears that it is gone.
  expect(hive.changes.map(({ record: { state }, removed }) => [state, removed])).toEqual([
    ["starting", false],
    ["stopped", true],
  ]);
});

test("an operator's variable with the hive's prefix is refused at the start", async () => {
  const hive = await openTestHive(cleanup);
  const config = await testConfig({ env: { HIVE_STATE_ID: "x" } });
  expect(() => createSupervisor({ ...hive.options, config })).toThrow(/cannot set HIVE_STATE_ID in env/);
  expect(hive.supervision.get(newWorkerId())).toBe(null);
});

/** A directory in the place of the file: renaming a file over it fails, whoever we are. */
function breakLedger(dir: string): void {
  const entry = join(dir, "ledger.json");
  if (existsSync(entry) && !existsSync(join(entry, "x"))) {
    renameSync(entry, join(dir, "moved.json"));
    mkdirSync(join(entry, "x"), { recursive: true });
  }
}

function splitOnce(entry: string): [string, string] {
  const at = entry.indexOf("=");
  return [entry.slice(0, at), entry.slice(at + 1)];
}
