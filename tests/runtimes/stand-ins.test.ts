import { readFileSync, writeFileSync } from "node:fs";
import { startTestQueen, type TestQueen, until, writeStandInEngine } from "@queen-and-hive/dev-env";
import { QUEEN_ENDPOINTS, type QueenConfigInput, type WorkerRecord } from "@queen-and-hive/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

// Real processes with the command lines, health routes and last words of the real servers; the real ones are not run here.

const WITHIN_MS = 30_000;
const SLOT_FLAGS = ["--parallel", "-np", "--max-num-seqs", "--max-running-requests"];
const ENGINES = [
  { runtime: "llama-server", slots: 4 },
  { runtime: "vllm", slots: 256 },
  { runtime: "sglang", slots: 48 },
] as const;

let queen: TestQueen;
beforeAll(async () => {
  queen = await startTestQueen({ start: false, config: configOf("/") });
  const bins = ENGINES.map(({ runtime }) => [runtime, { bin: writeStandInEngine(queen.folder, runtime) }]);
  writeFileSync(`${queen.folder}/model.gguf`, "");
  const text = JSON.stringify({ ...queen.config, ...configOf(queen.folder, Object.fromEntries(bins)) });
  writeFileSync(queen.configFile, text);
  await queen.start();
  await queen.hivesRunning();
});
afterAll(() => queen[Symbol.asyncDispose]());

function configOf(folder: string, runtimes: Readonly<Record<string, { bin: string }>> = {}): QueenConfigInput {
  const models = ENGINES.flatMap(({ runtime }) => [
    { id: `by-${runtime}`, runtime, path: "model.gguf" },
    { id: `bad-${runtime}`, runtime, path: "model.gguf", args: ["--no-such-flag", "1"] },
  ]);
  const limited = { id: "limited", runtime: "eight", path: "model.gguf", slots: 3 };
  const huge = { id: "huge", runtime: "llama-server", path: "model.gguf", place: { memory: "999TiB" } };
  return {
    defaults: { hive: { models_dir: folder, runtimes } },
    runtimes: { eight: { extends: "llama-server", args: ["-np", "8"] } },
    models: [...models, limited, huge, { id: "eight", runtime: "eight", path: "model.gguf" }],
    restart: { first: "50ms", max: "100ms" },
  };
}

async function chat(model: string): Promise<Response> {
  return await fetch(`${queen.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model, messages: [{ role: "user", content: "hello" }] }),
  });
}

async function workerOf(model: string): Promise<WorkerRecord | undefined> {
  const { workers } = await queen.peer.call(QUEEN_ENDPOINTS.listWorkers);
  return workers.find((worker) => worker.model === model);
}

describe.each(ENGINES)("a worker of $runtime", ({ runtime, slots }) => {
  it("is started by the first request, found ready by its health route and asked for its slots", async () => {
    const answer = await chat(`by-${runtime}`);
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({ choices: [{ finish_reason: expect.any(String) }] });
    const worker = await workerOf(`by-${runtime}`);
    expect(worker).toMatchObject({ state: "ready", runtime, slots });
    const words = readFileSync(`/proc/${worker?.pid}/cmdline`, "utf8").split("\0");
    expect(words.filter((word) => SLOT_FLAGS.includes(word))).toEqual([]);
  });

  it("that refuses a flag is reported with that cause", async () => {
    const answer = await chat(`bad-${runtime}`);
    expect(answer.status).toBe(503);
    expect(await answer.text()).toContain("refused a flag of its command line");
  });
});

it("a number of slots is a limit of ours and no flag of the engine", async () => {
  expect((await chat("limited")).status).toBe(200);
  const worker = await workerOf("limited");
  expect(worker?.slots).toBe(3);
  expect(readFileSync(`/proc/${worker?.pid}/cmdline`, "utf8").split("\0")).toEqual(expect.arrayContaining(["-np", "8"]));
});

it("a runtime that extends llama-server uses the host's llama-server and says what the engine answers", async () => {
  expect((await chat("eight")).status).toBe(200);
  const worker = await until(async () => (await workerOf("eight")) ?? null, WITHIN_MS, "the worker");
  expect(worker).toMatchObject({ runtime: "eight", slots: 8 });
});

it("a model that fits nowhere is refused with that cause, and what is missing stays with the operators", async () => {
  const answer = await chat("huge");
  expect(answer.status).toBe(503);
  const text = await answer.text();
  expect(text).toContain("enough free memory for it");
  expect(text).not.toContain("TiB");
});
