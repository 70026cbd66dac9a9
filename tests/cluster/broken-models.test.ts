import { copyFileSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fakeModel, fakeRuntime, processesOf, REPOSITORY, startTestQueen, type TestQueen, until } from "@queen-and-hive/dev-env";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ask, chat, errorOf, journalOf } from "./ask.ts";

const TINY = join(REPOSITORY, "models", "tiny.gguf");
/** A client that asks for what cannot be had is told soon; what a start of a process takes on a busy machine. */
const SOON_MS = 15_000;

let queen: TestQueen;

beforeAll(async () => {
  queen = await startTestQueen({
    start: false,
    config: {
      models: [
        ...["missing", "truncated", "text", "folder"].map((id) => ({ id, runtime: "embedded", path: `${id}.gguf` })),
        fakeModel("crashing", "crashing"),
        fakeModel("absent", "absent"),
      ],
      runtimes: {
        crashing: fakeRuntime(["--fault", "crash-while-loading=3"]),
        absent: { command: ["/nowhere/server", "{port}"], ready: { http: "/health" } },
      },
    },
  });
  copyFileSync(TINY, join(queen.folder, "truncated.gguf"));
  truncateSync(join(queen.folder, "truncated.gguf"), readFileSync(TINY).length / 2);
  writeFileSync(join(queen.folder, "text.gguf"), "this is no model\n".repeat(100));
  await queen.start();
  await queen.hivesRunning();
}, 60_000);

afterAll(() => queen[Symbol.asyncDispose](), 60_000);

test.each<[string, string, string, RegExp]>([
  ["a model file that is missing", "missing", "model_missing", /the model file is missing/],
  ["a model file that is truncated", "truncated", "model_invalid", /cannot be read as a model/],
  ["a model file that is no GGUF", "text", "model_invalid", /cannot be read as a model/],
  ["an engine that is not there", "absent", "runtime_missing", /runtime is not available/],
])("%s is a 503 with its cause, soon, whole and streamed, and leaves nothing running", async (_what, model, cause, words) => {
  for (const stream of [false, true]) {
    const started = performance.now();
    const answer = await ask(queen.url, { body: chat(model, { stream }) });
    expect(performance.now() - started).toBeLessThan(SOON_MS);
    const error = errorOf(answer.text);
    expect(error).toMatchObject({ code: "model_unavailable", message: expect.stringMatching(words), details: { cause } });
    expect([answer.status, Number(answer.headers["retry-after"]) > 0]).toEqual([503, true]);
    expect(error.message).toContain(JSON.stringify(model));
    // Paths and log lines are for operators.
    expect(answer.text).not.toContain(queen.folder);
  }
  await until(() => workerProcesses().length === 0, 20_000, "the worker's processes to be gone");
  const events = await journalOf(queen.url);
  expect(events.filter((event) => event.cause === cause).length).toBeGreaterThan(0);
});

test("an engine that crashes while it loads is given up once its breaker opens, with its exit code for operators", async () => {
  const answer = await ask(queen.url, { body: chat("crashing") });
  expect([answer.status, errorOf(answer.text).code]).toEqual([503, "model_unavailable"]);
  const exits = (await journalOf(queen.url)).filter(
    ({ kind, details }) => kind === "worker.exit" && details?.["model"] === "crashing",
  );
  expect(exits.map(({ details }) => details?.["exit_code"])).toEqual([3, 3, 3]);
  expect(exits.at(-1)?.details?.["will_restart"]).toBe(false);
  expect(JSON.stringify(exits.at(-1)?.details?.["log_tail"])).toContain("crash-while-loading");
  await until(() => workerProcesses().length === 0, 20_000, "the worker's processes to be gone");
}, 60_000);

/** What has to do with this hive, the daemon itself excepted. */
function workerProcesses(): readonly string[] {
  const { stateDir } = queen.hive("local").place;
  return processesOf({ folder: join(stateDir, "workers") }).map(({ command }) => command);
}
