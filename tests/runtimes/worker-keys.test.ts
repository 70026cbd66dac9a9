import { readFileSync, writeFileSync } from "node:fs";
import { startTestQueen, writeStandInEngine } from "@queen-and-hive/dev-env";
import { QUEEN_ENDPOINTS } from "@queen-and-hive/protocol";
import { expect, it } from "vitest";

const ENGINES = [
  { runtime: "llama-server", variable: "LLAMA_API_KEY", slots: 4 },
  { runtime: "vllm", variable: "VLLM_API_KEY", slots: 256 },
] as const;

it("engines that others can reach demand a key of their own, which the queen and the hive know and nobody says", async () => {
  await using queen = await startTestQueen({ start: false });
  const runtimes = Object.fromEntries(
    ENGINES.map(({ runtime }) => [runtime, { bin: writeStandInEngine(queen.folder, runtime) }]),
  );
  writeFileSync(`${queen.folder}/model.gguf`, "");
  const models = ENGINES.map(({ runtime }) => ({ id: runtime, runtime, path: "model.gguf", start: { warmup: true } }));
  const hive = { models_dir: queen.folder, worker_host: "0.0.0.0", runtimes };
  writeFileSync(queen.configFile, JSON.stringify({ ...queen.config, defaults: { hive }, models }));
  await queen.start();
  await queen.hivesRunning();
  const ask = async (url: string, model: string): Promise<Response> =>
    await fetch(`${url}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model, messages: [{ role: "user", content: "hello" }] }),
    });
  const keys: string[] = [];
  for (const { runtime, variable, slots } of ENGINES) {
    expect((await ask(queen.url, runtime)).status).toBe(200);
    const { workers } = await queen.peer.call(QUEEN_ENDPOINTS.listWorkers);
    const worker = workers.find(({ model }) => model === runtime);
    // Its slots were asked for with the key as well.
    expect(worker).toMatchObject({ state: "ready", slots });
    expect((await ask(worker?.url ?? "", runtime)).status).toBe(401);
    const variables = readFileSync(`/proc/${worker?.pid}/environ`, "utf8").split("\0");
    const key = variables.find((entry) => entry.startsWith(`${variable}=`))?.slice(variable.length + 1) ?? "";
    expect(variables).toContain(`HIVE_WORKER_KEY=${key}`);
    expect(readFileSync(`/proc/${worker?.pid}/cmdline`, "utf8")).not.toContain(key);
    expect(JSON.stringify(workers)).not.toContain(key);
    keys.push(key);
  }
  expect(new Set(keys).size).toBe(ENGINES.length);
  expect(keys.every((key) => key.length >= 43)).toBe(true);
});
