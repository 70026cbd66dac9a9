import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { REPOSITORY, startTestQueen } from "@queen-and-hive/dev-env";
import { QUEEN_ENDPOINTS } from "@queen-and-hive/protocol";
import { expect, it } from "vitest";

// Runs where a real llama-server is on the PATH; elsewhere the stand-ins have to do.

const PROGRAM = (process.env["PATH"] ?? "")
  .split(delimiter)
  .map((dir) => join(dir, "llama-server"))
  .find((path) => existsSync(path));
const STARTS_WITHIN_MS = 60_000;

it.skipIf(PROGRAM === undefined)(
  "llama-server itself is started, found ready, asked for its slots, and answers",
  async () => {
    const path = join(REPOSITORY, "models", "tiny.gguf");
    await using queen = await startTestQueen({
      config: {
        defaults: { hive: { runtimes: { "llama-server": { bin: PROGRAM ?? "" } } } },
        models: [
          { id: "real", runtime: "llama-server", path, args: ["-np", "3", "-c", "1536"], start: { warmup: true } },
          { id: "bad", runtime: "llama-server", path, args: ["-ctk", "no-such-type"] },
        ],
        restart: { first: "50ms", max: "100ms" },
      },
    });
    await queen.hivesRunning();
    const ask = async (model: string): Promise<Response> =>
      await fetch(`${queen.url}/v1/chat/completions`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ model, max_tokens: 8, messages: [{ role: "user", content: "What is a hive?" }] }),
      });
    const answer = await ask("real");
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({ model: "real", usage: { completion_tokens: 8 } });
    const { workers } = await queen.peer.call(QUEEN_ENDPOINTS.listWorkers);
    expect(workers.find(({ model }) => model === "real")).toMatchObject({ state: "ready", slots: 3, runtime: "llama-server" });
    const refused = await ask("bad");
    expect(refused.status).toBe(503);
    expect(await refused.text()).toContain("refused a flag");
  },
  STARTS_WITHIN_MS,
);
