import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { createPeer, isProcessAlive, signalProcess } from "@queen-and-hive/daemon";
import { REPOSITORY, readyWorkers, startTestQueen, type TestQueen, until } from "@queen-and-hive/dev-env";
import { type Capabilities, HIVE_ENDPOINTS, type WorkerRecord } from "@queen-and-hive/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ask, chat, dataOf, journalOf, openStream } from "../cluster/ask.ts";
import { identityOf } from "../cluster/identity.ts";

// Runs where a real llama-server is on the PATH (scripts/install-llama-server.sh brings one); elsewhere the stand-ins have to do.

const PROGRAM = (process.env["PATH"] ?? "")
  .split(delimiter)
  .map((dir) => join(dir, "llama-server"))
  .find((path) => existsSync(path));
const WITHIN_MS = 60_000;
const MODEL = join(REPOSITORY, "models", "tiny.gguf");

describe.skipIf(PROGRAM === undefined)("llama-server itself", () => {
  let queen: TestQueen;
  beforeAll(async () => {
    queen = await startTestQueen({
      config: {
        defaults: { hive: { runtimes: { "llama-server": { bin: PROGRAM ?? "" } } } },
        models: [
          {
            id: "real",
            runtime: "llama-server",
            path: MODEL,
            args: ["-c", "2048"],
            start: { warmup: true },
            workers: { min: 1, max: 1 },
          },
          { id: "bad", runtime: "llama-server", path: MODEL, args: ["-ctk", "no-such-type"] },
        ],
        restart: { first: "50ms", max: "100ms" },
      },
    });
    await queen.hivesRunning();
  }, WITHIN_MS);
  afterAll(() => queen?.[Symbol.asyncDispose](), WITHIN_MS);

  const theReady = async (incarnation: number): Promise<WorkerRecord> => {
    const look = async (): Promise<WorkerRecord | null> => {
      const ready = await readyWorkers(queen.peer, 1, { model: "real", withinMs: WITHIN_MS });
      return ready.find((worker) => worker.incarnation === incarnation) ?? null;
    };
    return await until(look, WITHIN_MS, `start ${incarnation} to be ready`);
  };

  it("is found by `hive doctor`, with its version", async () => {
    const { exitCode, json } = await queen.hive("local").run(["doctor", "--json"]);
    expect(exitCode).toBe(0);
    const { runtimes } = json as Capabilities;
    const found = runtimes.find(({ name }) => name === "llama-server");
    expect(found).toMatchObject({ available: true, path: PROGRAM, version: expect.stringMatching(/\d/) });
  });

  it(
    "is started, found ready, asked for its slots, and answers",
    async () => {
      const worker = await theReady(1);
      const { total_slots } = (await (await fetch(`${worker.url}/props`)).json()) as { total_slots: number };
      // What is assumed of one that does not say so is 1.
      expect(total_slots).toBeGreaterThan(1);
      expect(worker).toMatchObject({ slots: total_slots, runtime: "llama-server" });
      const answer = await ask(queen.url, { body: chat("real", { max_tokens: 8 }) });
      expect(answer.status).toBe(200);
      expect(JSON.parse(answer.text)).toMatchObject({ model: "real", usage: { completion_tokens: 8 } });
    },
    WITHIN_MS,
  );

  it(
    "streams its words through the queen, and its usage at the end",
    async () => {
      const stream = await openStream(
        queen.url,
        chat("real", { max_tokens: 8, stream: true, stream_options: { include_usage: true } }),
      );
      const text = await stream.whole;
      const data = dataOf(text);
      expect([stream.status, data.at(-1)]).toEqual([200, "[DONE]"]);
      expect(data.filter((part) => part !== "[DONE]").length).toBeGreaterThan(3);
      expect(JSON.parse(data.at(-2) ?? "")).toMatchObject({ choices: [], usage: { completion_tokens: 8 } });
    },
    WITHIN_MS,
  );

  it(
    "that refuses a flag is reported with that cause",
    async () => {
      const refused = await ask(queen.url, { body: chat("bad") });
      expect([refused.status, refused.text]).toEqual([503, expect.stringContaining("refused a flag")]);
    },
    WITHIN_MS,
  );

  it(
    "is started again after kill -9, and answers",
    async () => {
      const killed = await theReady(1);
      signalProcess(identityOf(killed), "SIGKILL");
      const next = await theReady(2);
      expect(next).toMatchObject({
        worker_id: killed.worker_id,
        restarts: 1,
        slots: killed.slots,
        exit: { signal: "SIGKILL", cause: "killed" },
      });
      expect((await ask(queen.url, { body: chat("real", { max_tokens: 2 }) })).status).toBe(200);
    },
    WITHIN_MS,
  );

  it(
    "ends on TERM alone, proven",
    async () => {
      const worker = await theReady(2);
      const token = (await readFile(`${queen.stateDir}/secrets/hive-local.token`, "utf8")).trim();
      const url = `http://${queen.config.hives?.[0]?.listen ?? ""}`;
      await using hive = createPeer({ url, token: () => token, name: "the hive", timeoutMs: WITHIN_MS, maxSockets: 1 });
      await hive.call(HIVE_ENDPOINTS.deleteWorker, { params: { worker_id: worker.worker_id } });
      expect(isProcessAlive(identityOf(worker))).toBe(false);
      const steps = await until(async () => {
        const names = (await journalOf(queen.url))
          .filter(({ kind, worker_id }) => kind === "worker.step" && worker_id === worker.worker_id)
          .map(({ details }) => details?.["step"]);
        return names.includes("gone") ? names : null;
      }, WITHIN_MS);
      expect(steps).toContain("term");
      expect(steps).not.toContain("kill");
    },
    WITHIN_MS,
  );
});
