import { writeFileSync } from "node:fs";
import { type TemporaryDirectory, temporaryDirectory, writeStandInEngine } from "@queen-and-hive/dev-env";
import { newWorkerId, type QueenConfigInput, type WorkerSpec } from "@queen-and-hive/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { resolveHiveSettings } from "../../apps/hive/src/config.ts";
import { commandLine, resolveRuntime } from "../../apps/hive/src/runtimes/resolve-launch.ts";
import { workerEnvironment } from "../../apps/hive/src/runtimes/worker-environment.ts";
import { resolveSettings } from "../../apps/queen/src/config/resolve.ts";

// From the queen's configuration to what a hive executes: exact words and exact variables, no process.

type Model = NonNullable<QueenConfigInput["models"]>[number];

let folder: TemporaryDirectory;
beforeAll(async () => {
  folder = await temporaryDirectory("qh-lines");
  for (const kind of ["llama-server", "vllm", "sglang"] as const) writeStandInEngine(folder.path, kind);
  for (const file of ["model.gguf", "mmproj.gguf"]) writeFileSync(folder.join(file), "");
});
afterAll(() => folder[Symbol.asyncDispose]());

function specOf(model: Omit<Model, "id">, config: QueenConfigInput = {}): WorkerSpec {
  const place = { file: null, home: "/home/me", workingDirectory: folder.path, machineId: "m", sshAgent: null };
  const settings = resolveSettings({ ...config, models: [{ id: "chat", path: "model.gguf", ...model }] }, place, 0);
  const spec = settings.models[0]?.spec;
  if (spec === undefined) throw new Error("the configuration has a model");
  return spec;
}

interface HostParts {
  readonly devices?: readonly string[];
  readonly bins?: Readonly<Record<string, string>>;
  readonly key?: string;
}

function launchOf(spec: WorkerSpec, { devices = [], bins = {}, key }: HostParts = {}) {
  const input = {
    models_dir: folder.path,
    runtimes: Object.fromEntries(Object.entries(bins).map(([name, bin]) => [name, { bin }])),
  };
  const config = resolveHiveSettings(input, { homeDir: "/home/me", baseDir: "/" });
  const context = {
    workerId: newWorkerId(),
    spec: { ...spec, devices: [...devices] },
    ports: [17900],
    config,
    embeddedWorker: () => ({ command: [folder.join("vllm"), "worker-main", "/opt/main.mjs"] }) as const,
    searchPath: folder.path,
  };
  const runtime = resolveRuntime(context);
  const argv = commandLine(context, runtime);
  const environment = workerEnvironment({
    ...context,
    stateId: "s",
    host: config.workerHost,
    modelPath: runtime.modelPath,
    callbackUrl: "http://127.0.0.1:1/v1/workers/ready",
    callbackToken: "t",
    workerKey: key ?? null,
    inherited: { PATH: "/bin" },
    hostEnv: {},
  });
  const own = Object.entries(environment).filter(
    ([name]) => !name.startsWith("HIVE_") && name !== "PATH" && name !== "SPT_NOENV",
  );
  return { argv, environment, own: Object.fromEntries(own) };
}

const NVIDIA = ["GPU-4a1f9e0c-7c1e-4f51-8c4b-8f0f5a1d2b3c", "GPU-91b0d2aa-0c9e-4d7e-9f43-2f9e3f6f7a10"];
const AMD = ["GPU-2150e7d042a1124f", "AMD-1"];

describe("the command line of", () => {
  it("llama-server: no flag for slots, the model's words last", () => {
    const spec = specOf({ runtime: "llama-server", slots: 8, args: ["-c", "32768"], files: { mmproj: "mmproj.gguf" } });
    const { argv, own } = launchOf(spec, { devices: NVIDIA.slice(0, 1), key: "k" });
    expect(argv).toEqual([
      folder.join("llama-server"),
      "--host",
      "127.0.0.1",
      "--port",
      "17900",
      "--model",
      folder.join("model.gguf"),
      "--alias",
      "chat",
      "--mmproj",
      folder.join("mmproj.gguf"),
      "-c",
      "32768",
    ]);
    expect(own).toEqual({ CUDA_DEVICE_ORDER: "PCI_BUS_ID", CUDA_VISIBLE_DEVICES: NVIDIA[0], LLAMA_API_KEY: "k" });
  });

  it("vLLM: spread over its devices", () => {
    const spec = specOf({ runtime: "vllm", place: { devices: 2 }, args: ["--max-model-len", "8192"] });
    const { argv, own } = launchOf(spec, { devices: NVIDIA, key: "k" });
    expect(argv).toEqual([
      folder.join("vllm"),
      "serve",
      folder.join("model.gguf"),
      "--host",
      "127.0.0.1",
      "--port",
      "17900",
      "--served-model-name",
      "chat",
      "--tensor-parallel-size",
      "2",
      "--max-model-len",
      "8192",
    ]);
    expect(own).toEqual({ CUDA_DEVICE_ORDER: "PCI_BUS_ID", CUDA_VISIBLE_DEVICES: NVIDIA.join(","), VLLM_API_KEY: "k" });
    expect(spec.needs).toEqual({ devices: 2, memory_bytes: "auto" });
  });

  it("SGLang: the key is in no argument, and AMD's devices are named to ROCm", () => {
    const { argv, own } = launchOf(specOf({ runtime: "sglang" }), { devices: AMD, key: "secret" });
    expect(argv).toEqual([
      folder.join("python3"),
      "-m",
      "sglang.launch_server",
      "--model-path",
      folder.join("model.gguf"),
      "--host",
      "127.0.0.1",
      "--port",
      "17900",
      "--served-model-name",
      "chat",
      "--tp-size",
      "2",
    ]);
    expect(own).toEqual({ ROCR_VISIBLE_DEVICES: "GPU-2150e7d042a1124f,1" });
  });

  it("the embedded worker: what it needs is in its variables", () => {
    const spec = specOf({ runtime: "embedded", slots: 3, args: ["--context", "2048"] });
    const { argv, own, environment } = launchOf(spec, { devices: ["cpu"], key: "k" });
    expect(argv).toEqual([folder.join("vllm"), "worker-main", "/opt/main.mjs", "--context", "2048"]);
    expect(own).toEqual({ CUDA_VISIBLE_DEVICES: "", HIP_VISIBLE_DEVICES: "-1" });
    expect(environment).toMatchObject({
      HIVE_MODEL_PATH: folder.join("model.gguf"),
      HIVE_SLOTS: "3",
      HIVE_WORKER_KEY: "k",
      HIVE_PORT: "17900",
    });
    expect(spec.needs?.devices).toBe(0);
  });

  it("a server of one's own: every placeholder, one word each", () => {
    const words = [
      "{host}",
      "{port}",
      "{ports}",
      "{model}",
      "{model_path}",
      "{models_dir}",
      "{devices}",
      "{device_count}",
      "{slots}",
    ];
    const runtimes = {
      mine: { command: [folder.join("vllm"), ...words, "{unknown} $(id) {port}"], env: { A: "runtime", B: "b" } },
    };
    const spec = specOf({ runtime: "mine", slots: 3, env: { A: "model" } }, { runtimes });
    const { argv, own } = launchOf(spec, { devices: NVIDIA });
    expect(argv.slice(1)).toEqual([
      "127.0.0.1",
      "17900",
      "17900",
      "chat",
      folder.join("model.gguf"),
      folder.path,
      NVIDIA.join(","),
      "2",
      "3",
      "{unknown} $(id) 17900",
    ]);
    expect(own).toMatchObject({ A: "model", B: "b" });
  });
});

describe("a host's own program", () => {
  it("wins for its runtime and for those that extend it, the nearest first", () => {
    const runtimes = { fast: { extends: "llama-server", args: ["-fa", "on"] } };
    const spec = specOf({ runtime: "fast", args: ["-c", "1"] }, { runtimes });
    const other = folder.join("python3");
    expect(launchOf(spec, { bins: { "llama-server": other } }).argv[0]).toBe(other);
    expect(launchOf(spec, { bins: { "llama-server": other, fast: folder.join("vllm") } }).argv[0]).toBe(folder.join("vllm"));
    expect(launchOf(spec).argv.slice(-4)).toEqual(["-fa", "on", "-c", "1"]);
  });

  it("that is not there is named, with what to do", () => {
    const spec = specOf({ runtime: "vllm" });
    expect(() => launchOf(spec, { bins: { vllm: "/opt/absent/vllm" } })).toThrow(
      "cannot find the program /opt/absent/vllm of the runtime vllm on this host; install it or set runtimes.vllm.bin",
    );
  });
});

it("a further file that the runtime does not take is refused by name", () => {
  const spec = specOf({ runtime: "llama-server" });
  const model = { ...spec.model, files: { voice: "mmproj.gguf" } };
  expect(() => launchOf({ ...spec, model })).toThrow(
    /cannot pass the file "voice" to the runtime llama-server: its recipe takes mmproj, /,
  );
});
