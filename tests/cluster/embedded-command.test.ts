import { COMPILE_CACHE, programCommand, REPOSITORY, startTestHive, until } from "@queen-and-hive/dev-env";
import { HIVE_ENDPOINTS, newQueenId, newWorkerId, type SpawnRequest, type WorkerRecord } from "@queen-and-hive/protocol";
import { expect, test } from "vitest";
import { ask, chat } from "./ask.ts";

const READY_MS = 60_000;
const breaker = { restarts: 5, window_s: 300, unready_in_a_row: 3 };

test.each([
  ["its own callback", { callback: true }],
  ["a probe of its health path", { http: "/health" }],
  ["a line of its output", { log: "\\bready\\b" }],
])(
  "the embedded worker, driven as any command, is ready by %s, and gives a first token",
  async (_by, ready) => {
    await using hive = await startTestHive();
    const order: SpawnRequest = {
      worker_id: newWorkerId(),
      queen_id: newQueenId(),
      queen_epoch: 1,
      queen_url: "http://127.0.0.1:9",
      spec: {
        model: { id: "tiny", path: `${REPOSITORY}/models/tiny.gguf` },
        runtime: { name: "mine", command: [...programCommand("worker")], ready },
        args: [],
        env: { ...COMPILE_CACHE },
        devices: [],
        slots: "auto",
        start: { silence_s: 60, total_s: 120, warmup: true },
        restart: { first_s: 1, factor: 2, max_s: 60, jitter: 0, breaker, retry_open_every_s: null },
        labels: {},
      },
    };
    await hive.peer.call(HIVE_ENDPOINTS.postWorker, { body: order });
    const worker = await until(async () => {
      const found: WorkerRecord = await hive.peer.call(HIVE_ENDPOINTS.getWorker, { params: { worker_id: order.worker_id } });
      if (found.state === "failed") throw new Error(`the worker failed: ${JSON.stringify(found.exit)}`);
      return found.state === "ready" ? found : null;
    }, READY_MS);
    expect(worker).toMatchObject({ incarnation: 1, restarts: 0, runtime: "mine" });
    const answer = await ask(worker.url ?? "", { body: chat("tiny", { max_tokens: 2 }) });
    expect(answer.status).toBe(200);
    const stopped = await hive.peer.call(HIVE_ENDPOINTS.deleteWorker, { params: { worker_id: order.worker_id } });
    expect(stopped.how).not.toBe("already_gone");
  },
  120_000,
);
