import { readFileSync, writeFileSync } from "node:fs";
import { freePort, startRecordingServer, temporaryDirectory, until } from "@queen-and-hive/dev-env";
import { WORKER_EXIT } from "@queen-and-hive/protocol";
import { expect, test } from "vitest";
import { asks, getJson, postJson, postStream, readStream } from "./openai-calls.ts";
import { CALLBACK_TOKEN, startTestWorker, TINY_MODEL } from "./start-test-worker.ts";

/** Goes on to the end of the context. */
const STORY = { messages: asks("Tell me a long bee story."), temperature: 0, ignore_eos: true };

test("a worker answers /health while it loads, and says that it is ready once it serves", async () => {
  const port = await freePort();
  await using worker = await startTestWorker({ env: { HIVE_PORT: String(port), HIVE_SLOTS: "2" } });
  const url = `http://127.0.0.1:${port}`;
  const healthAtCallback: number[] = [];
  worker.hive.answer(async () => {
    healthAtCallback.push((await getJson(`${url}/health`)).status);
    return { status: 200, body: { applied: true } };
  });
  const loading = await until(() => getJson(`${url}/health`), 20_000);
  expect(loading.status).toBe(503);
  expect(loading.body.status).toBe("loading");
  expect(loading.body.progress).toBeGreaterThanOrEqual(0);
  const early = await postJson(`${url}/v1/chat/completions`, { messages: asks("Hello!") });
  expect(early.status).toBe(503);
  expect(early.headers.get("retry-after")).toBe("1");

  const said = await worker.ready();
  expect(said).toMatchObject({
    worker_id: worker.workerId,
    url,
    model_ref: TINY_MODEL,
    backend: "llama.cpp-cpu",
    device: "cpu",
    pid: worker.program.identity.pid,
    slots: 2,
  });
  expect(said.memory_bytes).toBeGreaterThan(10_000_000);
  expect(worker.hive.requests[0]?.headers["authorization"]).toBe(`Bearer ${CALLBACK_TOKEN}`);
  expect(worker.hive.requests[0]?.url).toBe("/v1/workers/ready");
  await until(() => healthAtCallback.length === 1);
  expect(healthAtCallback).toEqual([200]);
}, 60_000);

test("readiness is said again until the hive has it, also after it was away, and then no more", async () => {
  await using worker = await startTestWorker();
  worker.hive.answer((_request, index) =>
    index === 0 ? "drop" : index < 3 ? { status: 503, body: {} } : { status: 200, body: { applied: true } },
  );
  await worker.hive.received(4, undefined, 40_000);
  await until(() => worker.program.output().includes("the hive knows"));
  expect(worker.hive.requests.length).toBe(4);
}, 60_000);

test("a hive that refuses readiness for good is asked once, and serving goes on", async () => {
  await using worker = await startTestWorker({ env: { HIVE_SLOTS: "1" }, args: ["--max-waiting", "0", "--stop-drain", "0s"] });
  worker.hive.answer(() => ({
    status: 410,
    body: { error: { message: "gone", type: "invalid_request_error", code: "worker_gone" } },
  }));
  const { url } = await worker.ready();
  await until(() => worker.program.output().includes("refuses"));
  expect(worker.hive.requests.length).toBe(1);

  // One slot and no place to wait: the second request is told so at once.
  const stream = await postStream(`${url}/v1/chat/completions`, STORY);
  const full = await postJson(`${url}/v1/chat/completions`, STORY);
  expect(full.status).toBe(429);
  expect(full.body.error.code).toBe("queue_full");

  // TERM in mid-answer: the stream ends as a stream ends.
  const events = readStream(stream);
  worker.program.send("SIGTERM");
  expect(await worker.program.ended(5_000)).toEqual({ code: 0, signal: null });
  const seen = await events;
  expect(seen.at(-1)?.data).toBe("[DONE]");
  const last = seen.at(-2);
  expect(last?.event).toBe("error");
  expect(JSON.parse(last?.data ?? "{}").error.code).toBe("shutting_down");
}, 60_000);

test("TERM lets a short answer finish, refuses new requests and ends with 0 within two seconds", async () => {
  await using worker = await startTestWorker();
  const { url } = await worker.ready();
  const short = await postStream(`${url}/v1/chat/completions`, { ...STORY, max_tokens: 30 });
  const startedMs = performance.now();
  worker.program.send("SIGTERM");
  const events = await readStream(short);
  expect(events.some((event) => event.event === "error")).toBe(false);
  expect(events.at(-1)?.data).toBe("[DONE]");
  expect(await worker.program.ended(5_000)).toEqual({ code: 0, signal: null });
  expect(performance.now() - startedMs).toBeLessThan(2_500);
}, 60_000);

test("TERM while the model is loading ends with 0 and without a callback", async () => {
  await using worker = await startTestWorker();
  await until(() => worker.program.output().includes("listening"), 20_000);
  worker.program.send("SIGTERM");
  expect(await worker.program.ended(5_000)).toEqual({ code: 0, signal: null });
  expect(worker.hive.requests).toEqual([]);
}, 60_000);

test("with a key only those who bring it are served, and /health is open", async () => {
  await using worker = await startTestWorker({ env: { HIVE_WORKER_KEY: "opensesame" } });
  const { url } = await worker.ready();
  const body = { messages: asks("Hello!"), max_tokens: 2 };
  expect((await postJson(`${url}/v1/chat/completions`, body)).status).toBe(401);
  expect((await postJson(`${url}/v1/chat/completions`, body, { authorization: "Bearer wrong" })).status).toBe(401);
  expect((await postJson(`${url}/v1/chat/completions`, body, { authorization: "Bearer opensesame" })).status).toBe(200);
  expect((await getJson(`${url}/health`)).status).toBe(200);
}, 60_000);

test("without a key a page of another site cannot drive a worker on loopback", async () => {
  await using worker = await startTestWorker();
  const { url } = await worker.ready();
  const answer = await postJson(`${url}/v1/chat/completions`, { messages: asks("Hello!") }, { origin: "https://evil.example" });
  expect(answer.status).toBe(403);
  expect(answer.body.error.code).toBe("cross_site_request");
}, 60_000);

test("a callback goes through a Unix socket as well", async () => {
  await using folder = await temporaryDirectory();
  await using hive = await startRecordingServer({ path: folder.join("hive.sock") });
  hive.answer(() => ({ status: 200, body: { applied: true } }));
  await using _worker = await startTestWorker({ env: { HIVE_CALLBACK_URL: `unix:${folder.join("hive.sock")}` } });
  const [callback] = await hive.received(1, undefined, 30_000);
  expect(callback?.url).toBe("/v1/workers/ready");
}, 60_000);

test("what keeps a worker from starting is one line and an exit code of its own", async () => {
  await using folder = await temporaryDirectory();
  await using taken = await startRecordingServer();
  const notGguf = folder.join("page.gguf");
  writeFileSync(notGguf, "<html>not found</html>");
  const foreign = folder.join("foreign.gguf");
  writeFileSync(foreign, foreignModel());
  const cases = [
    {
      env: { HIVE_MODEL_PATH: folder.join("absent.gguf") },
      code: WORKER_EXIT.modelMissing,
      line: /cannot load .*absent\.gguf: /,
    },
    {
      env: { HIVE_MODEL_PATH: notGguf },
      code: WORKER_EXIT.modelInvalid,
      line: /cannot load .*page\.gguf: it is not a GGUF file/,
    },
    { env: { HIVE_MODEL_PATH: foreign }, code: WORKER_EXIT.modelInvalid, line: /cannot load .*unknown model architecture/ },
    {
      env: { HIVE_PORT: String(taken.port) },
      code: WORKER_EXIT.portInUse,
      line: /cannot listen on 127\.0\.0\.1:[0-9]+: it is in use by process [0-9]+/,
    },
    { env: { HIVE_PORT: "a port" }, code: WORKER_EXIT.badConfiguration, line: /cannot start the worker: the port must be/ },
  ];
  for (const { env, code, line } of cases) {
    await using worker = await startTestWorker({ env });
    expect(await worker.program.ended(20_000)).toEqual({ code, signal: null });
    const said = worker.program
      .output()
      .trimEnd()
      .split("\n")
      .filter((text) => !text.includes('"level":"info"'));
    expect(said).toEqual([expect.stringMatching(line)]);
    expect(worker.hive.requests).toEqual([]);
  }
}, 60_000);

/** A whole GGUF file of an architecture that llama.cpp does not know. */
function foreignModel(): Buffer {
  const bytes = readFileSync(TINY_MODEL);
  const key = bytes.indexOf("general.architecture");
  bytes.write("lxxma", bytes.indexOf("llama", key));
  return bytes;
}
