import { readProcStat } from "@queen-and-hive/daemon";
import { fakeModel, fakeRuntime, readyWorkers, startTestQueen, type TestQueen, until } from "@queen-and-hive/dev-env";
import type { WorkerRecord } from "@queen-and-hive/protocol";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ask, chat, contentOf, dataOf, errorOf, openStream } from "./ask.ts";

// What clients see of workers that go wrong in the middle of their work, each model's in its own way, under one queen.

const WITHIN_MS = 60_000;
const FAULTS = {
  dying: ["--fault", "crash-after-tokens=3"],
  dropping: ["--fault", "drop-stream=3"],
  malformed: ["--fault", "malformed-json"],
  stopping: ["--fault", "stop-itself=3000", "--token-rate", "5", "--tokens", "1000"],
} as const;

let queen: TestQueen;
beforeAll(async () => {
  queen = await startTestQueen({
    config: {
      models: Object.keys(FAULTS).map((id) => fakeModel(id, id)),
      runtimes: Object.fromEntries(Object.entries(FAULTS).map(([id, flags]) => [id, fakeRuntime(flags)])),
      health: { workers: { interval: "200ms", timeout: "500ms", hung_after: "1s", replace_after: "1s" } },
      restart: { first: "50ms", max: "200ms", jitter: 0 },
    },
  });
  await queen.hivesRunning();
}, WITHIN_MS);
afterAll(() => queen?.[Symbol.asyncDispose](), WITHIN_MS);

test(
  "a worker that dies in the middle of a stream: an error and [DONE] for that one, and the next is answered by its next start",
  async () => {
    const text = await wholeStream("dying");
    expect(endOf(text)).toEqual({ content: "the bees of", code: "engine_failed" });
    expect((await ask(queen.url, { body: chat("dying", { max_tokens: 1 }) })).status).toBe(200);
    // Where the queen hears of the death before she has read a byte, another start has begun the stream anew, and died of it.
    const restarted = await theWorker("dying");
    expect(restarted.incarnation).toBeGreaterThan(1);
    expect(restarted.exit).toMatchObject({ signal: "SIGKILL", cause: "killed" });
  },
  WITHIN_MS,
);

test(
  "a worker that cuts a stream: an error and [DONE] for that one, and it goes on with the next",
  async () => {
    const text = await wholeStream("dropping");
    expect(endOf(text)).toEqual({ content: "the bees of", code: "engine_failed" });
    const { pid } = await theWorker("dropping");
    expect((await ask(queen.url, { body: chat("dropping", { max_tokens: 1 }) })).status).toBe(200);
    expect(await theWorker("dropping")).toMatchObject({ incarnation: 1, restarts: 0, pid });
  },
  WITHIN_MS,
);

test.each([false, true])(
  "a worker whose JSON is none is a 502 that says so (stream: %s)",
  async (stream) => {
    const answer = await ask(queen.url, { body: chat("malformed", { stream }) });
    expect([answer.status, errorOf(answer.text).code]).toEqual([502, "engine_failed"]);
    expect(await theWorker("malformed")).toMatchObject({ incarnation: 1, restarts: 0 });
  },
  WITHIN_MS,
);

test(
  "a worker that stops itself is hung and replaced; its stream ends well, and who met it is answered by its next start",
  async () => {
    const stream = await openStream(queen.url, chat("stopping", { stream: true }));
    await stream.begun;
    const { pid, worker_id } = await theWorker("stopping");
    await until(() => readProcStat(pid ?? 0)?.state === "T", WITHIN_MS, "it to stop itself");
    const answer = await ask(queen.url, { body: chat("stopping", { max_tokens: 1 }) });
    expect([answer.status, answer.headers["x-fake-worker"]]).toEqual([200, worker_id]);
    expect(endOf(await stream.whole)).toEqual({ content: expect.stringMatching(/^the/), code: "engine_failed" });
    const replaced = await theWorker("stopping");
    expect(replaced.incarnation).toBeGreaterThan(1);
    expect(replaced.exit).toMatchObject({ cause: "hung" });
  },
  WITHIN_MS,
);

async function wholeStream(model: string): Promise<string> {
  const stream = await openStream(queen.url, chat(model, { stream: true }));
  expect(stream.status).toBe(200);
  return await stream.whole;
}

/** What came before the error of a stream, and its code, when the stream is well-formed to its end. */
function endOf(text: string): { readonly content: string; readonly code: string } {
  const data = dataOf(text);
  expect(data.at(-1)).toBe("[DONE]");
  const error = data.at(-2) ?? "";
  const before = data.slice(0, -2).map((part) => `data: ${part}\n`);
  return { content: contentOf(before.join("")), code: errorOf(error).code };
}

async function theWorker(model: string): Promise<WorkerRecord> {
  const [worker] = await readyWorkers(queen.peer, 1, { model });
  if (worker === undefined) throw new Error(`no worker of ${model} is ready`);
  return worker;
}
