import { tmpdir } from "node:os";
import { readProcStat } from "@queen-and-hive/daemon";
import { WORKER_EXIT } from "@queen-and-hive/protocol";
import { describe, expect, it } from "vitest";
import { until } from "../clock/until.ts";
import { startRecordingServer } from "../net/recording-server.ts";
import { processesOf } from "../processes/processes-of.ts";
import { type RunningFakeWorker, type StartFakeWorkerOptions, startFakeWorker } from "./start-fake-worker.ts";

const post = (url: string, body: unknown, init: RequestInit = {}): Promise<Response> =>
  fetch(url, { method: "POST", body: JSON.stringify(body), ...init });

const chat = (worker: RunningFakeWorker, body: object, init?: RequestInit): Promise<Response> =>
  post(`${worker.url}/v1/chat/completions`, { messages: [{ role: "user", content: "hi" }], ...body }, init);

function cpuTicks(pid: number): number {
  const stat = readProcStat(pid);
  return (stat?.utime ?? 0) + (stat?.stime ?? 0);
}

function stateOf(pid: number): string | null {
  return readProcStat(pid)?.state ?? null;
}

/** The JSON of each event of a stream; `[DONE]` as that text. */
function eventsOf(text: string): readonly unknown[] {
  return text
    .split("\n\n")
    .filter((part) => part.startsWith("data: "))
    .map((part) => (part === "data: [DONE]" ? "[DONE]" : JSON.parse(part.slice(6))));
}

describe("a healthy fake worker", () => {
  it("answers a chat in words, with usage, and cuts it at max_tokens", async () => {
    await using worker = await startFakeWorker(["--tokens", "6"]);
    const whole: unknown = await (await chat(worker, {})).json();
    expect(whole).toMatchObject({
      object: "chat.completion",
      choices: [{ message: { role: "assistant", content: "the bees of this hive carry" }, finish_reason: "stop" }],
      usage: { completion_tokens: 6 },
    });
    const cut: unknown = await (await chat(worker, { max_tokens: 2 })).json();
    expect(cut).toMatchObject({ choices: [{ message: { content: "the bees" }, finish_reason: "length" }] });
  });

  it("streams the same words, ends with the reason, usage when asked for, and [DONE]", async () => {
    await using worker = await startFakeWorker(["--tokens", "2"]);
    const response = await chat(worker, { stream: true, stream_options: { include_usage: true } });
    expect(response.headers.get("content-type")).toBe("text/event-stream");
    const events = eventsOf(await response.text());
    expect(events).toMatchObject([
      { choices: [{ delta: { role: "assistant" } }] },
      { choices: [{ delta: { content: "the" } }] },
      { choices: [{ delta: { content: " bees" } }] },
      { choices: [{ delta: {}, finish_reason: "stop" }] },
      { choices: [], usage: { completion_tokens: 2 } },
      "[DONE]",
    ]);
  });

  it("answers text completions, embeddings and the list of models", async () => {
    await using worker = await startFakeWorker(["--model", "tiny", "--tokens", "1"]);
    const text: unknown = await (await post(`${worker.url}/v1/completions`, { prompt: "x" })).json();
    expect(text).toMatchObject({ object: "text_completion", choices: [{ text: "the" }] });
    const embed = async (input: unknown): Promise<unknown> => (await post(`${worker.url}/v1/embeddings`, { input })).json();
    expect(await embed(["a", "b"])).toMatchObject({ data: [{ index: 0 }, { index: 1 }] });
    expect(await embed("a")).toEqual(await embed(["a"]));
    expect(await (await fetch(`${worker.url}/v1/models`)).json()).toMatchObject({ data: [{ id: "tiny" }] });
  });

  it("says 503 with its progress while it loads, and refuses work until then", async () => {
    await using worker = await startFakeWorker(["--load-ms", "60000"], { waitFor: "listens" });
    const health = await fetch(`${worker.url}/health`);
    expect([health.status, await health.json()]).toEqual([503, { status: "loading", progress: 0 }]);
    expect((await chat(worker, {})).status).toBe(503);
    expect(await worker.stats()).toMatchObject({ ready: false, health_requests: 1, failed: 1 });
  });

  it("works on as many answers at a time as it has slots and counts them", async () => {
    await using worker = await startFakeWorker(["--slots", "2", "--token-rate", "200", "--tokens", "10"]);
    const answers = await Promise.all(Array.from({ length: 5 }, async () => (await chat(worker, {})).status));
    expect(answers).toEqual([200, 200, 200, 200, 200]);
    expect(await worker.stats()).toMatchObject({ started: 5, finished: 5, open_now: 0, tokens_sent: 50 });
  });

  it("stops working for a client that has left and counts it", async () => {
    await using worker = await startFakeWorker(["--token-rate", "100", "--tokens", "100000"]);
    const leave = new AbortController();
    await chat(worker, { stream: true }, { signal: leave.signal });
    leave.abort();
    await until(async () => (await worker.stats()).cancelled === 1);
    expect(await worker.stats()).toMatchObject({ open_now: 0, finished: 0 });
  });

  it("keeps the last requests with their headers for a test to read", async () => {
    await using worker = await startFakeWorker();
    await chat(worker, { temperature: 0.5 }, { headers: { "x-request-id": "req-1" } });
    const { last } = await worker.stats();
    expect(last).toMatchObject([
      { path: "/v1/chat/completions", body: { temperature: 0.5 }, headers: { "x-request-id": "req-1" } },
    ]);
  });

  it("asks for the worker's key when it was given one", async () => {
    await using worker = await startFakeWorker([], { worker: { workerKey: "secret" } });
    expect((await chat(worker, {})).status).toBe(401);
    expect((await chat(worker, {}, { headers: { authorization: "Bearer secret" } })).status).toBe(200);
  });

  it("ends with 0 on TERM, and with the code for a taken port when there is one", async () => {
    await using worker = await startFakeWorker();
    await using second = await startFakeWorker([], { port: worker.port, waitFor: "nothing" });
    expect((await second.program.ended()).code).toBe(WORKER_EXIT.portInUse);
    expect(second.program.output()).toContain("cannot listen on 127.0.0.1:");
    worker.program.send("SIGTERM");
    expect(await worker.program.ended()).toEqual({ code: 0, signal: null });
  });

  it("says which flag is wrong", async () => {
    await using worker = await startFakeWorker(["--token-rate", "fast"], { waitFor: "nothing" });
    expect((await worker.program.ended()).code).toBe(WORKER_EXIT.badConfiguration);
    expect(worker.program.output()).toContain('cannot read "fast" as --token-rate');
  });
});

describe("the ready callback of a fake worker", () => {
  const worker = { workerId: "worker-1", callbackToken: "token-1" };

  async function startWithHive(
    flags: readonly string[],
    waitFor: StartFakeWorkerOptions["waitFor"] = "ready",
    answers: readonly number[] = [],
  ) {
    const hive = await startRecordingServer();
    hive.answer((_request, index) => ({ status: answers[index] ?? 200, body: { applied: true } }));
    const callbackUrl = `${hive.url}/v1/workers/ready`;
    return { hive, fake: await startFakeWorker(flags, { worker: { ...worker, callbackUrl }, waitFor }) };
  }

  it("carries the token and what the contract asks for, after the worker serves", async () => {
    const { hive, fake } = await startWithHive(["--model", "tiny", "--slots", "3"]);
    await using _hive = hive;
    await using _fake = fake;
    const [request] = await hive.received(1);
    expect(request?.headers["authorization"]).toBe("Bearer token-1");
    expect(request?.body).toMatchObject({
      worker_id: "worker-1",
      url: fake.url,
      model_ref: "tiny",
      backend: "fake",
      device: "cpu",
    });
    expect(request?.body).toMatchObject({ pid: fake.program.identity.pid, slots: 3 });
    expect((await fetch(`${fake.url}/health`)).status).toBe(200);
  });

  it("is repeated until it is acknowledged, and not when it is finally refused", async () => {
    const { hive, fake } = await startWithHive([], "ready", [503, 500]);
    await using _hive = hive;
    await using _fake = fake;
    await hive.received(3);
    await until(async () => (await fake.stats()).callbacks.length === 3);
    expect((await fake.stats()).callbacks.map(({ status }) => status)).toEqual([503, 500, 200]);
    const refusing = await startWithHive([], "ready", [401]);
    await using _refusingHive = refusing.hive;
    await using _refusedFake = refusing.fake;
    await until(async () => (await refusing.fake.stats()).callbacks.length === 1);
  });

  it("can come twice, with a wrong token, and before the worker listens", async () => {
    const twice = await startWithHive(["--fault", "callback-twice"]);
    await using _hive = twice.hive;
    await using _fake = twice.fake;
    expect((await twice.hive.received(2)).map(({ headers }) => headers["authorization"])).toEqual([
      "Bearer token-1",
      "Bearer token-1",
    ]);
    const wrong = await startWithHive(["--fault", "callback-wrong-token"], "ready", [401]);
    await using _wrongHive = wrong.hive;
    await using _wrongFake = wrong.fake;
    expect((await wrong.hive.received(1))[0]?.headers["authorization"]).not.toBe("Bearer token-1");
    const early = await startWithHive(["--fault", "callback-before-listen", "--load-ms", "60000"], "nothing");
    await using _earlyHive = early.hive;
    await using _earlyFake = early.fake;
    await early.hive.received(1);
    await until(async () => (await fetch(`${early.fake.url}/health`)).status === 503);
  });

  it("is not sent by a worker that is asked over HTTP, or that is mute", async () => {
    for (const flags of [
      ["--ready", "http"],
      ["--ready", "none"],
    ]) {
      const { hive, fake } = await startWithHive(flags);
      await using _hive = hive;
      await using _fake = fake;
      expect([(await fake.stats()).ready, hive.requests.length]).toEqual([true, 0]);
    }
    await using mute = await startFakeWorker(["--fault", "mute"], { waitFor: "listens" });
    expect((await fetch(`${mute.url}/health`)).status).toBe(503);
  });
});

describe("a faulty fake worker", () => {
  it("ends at its start or while it loads, with the code that was asked for", async () => {
    await using atStart = await startFakeWorker(["--fault", "crash-at-start=9"], { waitFor: "nothing" });
    await using loading = await startFakeWorker(["--fault", "crash-while-loading", "--load-ms", "50"], { waitFor: "nothing" });
    expect([(await atStart.program.ended()).code, (await loading.program.ended()).code]).toEqual([9, 1]);
  });

  it("ends while it is idle", async () => {
    await using worker = await startFakeWorker(["--fault", "crash-when-idle=20"]);
    expect((await worker.program.ended()).code).toBe(1);
  });

  it.each(["silent-load", "silent-busy-load"])(
    "loads for its time without a word (%s)",
    async (fault) => {
      const startedMs = performance.now();
      await using worker = await startFakeWorker(["--load-ms", "1000", "--fault", fault], { waitFor: "nothing" });
      await until(() => worker.program.output() !== "", 30_000, "its first word");
      expect(performance.now() - startedMs).toBeGreaterThan(950);
      await until(() => worker.program.output().includes("is ready"), 30_000, "the end of its loading");
    },
    90_000,
  );

  it("burns CPU while it loads without a word, when told to", async () => {
    await using worker = await startFakeWorker(["--load-ms", "600000", "--fault", "silent-busy-load"], { waitFor: "nothing" });
    // Two seconds of CPU are far beyond what its start takes; a busy machine gives them later.
    await until(() => cpuTicks(worker.program.identity.pid) > 200, 60_000, "it to compute");
    expect(worker.program.output()).toBe("");
  }, 90_000);

  it("says that it is well and never answers, until the client leaves", async () => {
    await using worker = await startFakeWorker(["--fault", "lying-health"]);
    expect((await fetch(`${worker.url}/health`)).status).toBe(200);
    const client = new AbortController();
    const answer = chat(worker, {}, { signal: client.signal });
    await until(async () => (await worker.stats()).open_now === 1, 5_000, "the request to arrive");
    client.abort();
    await expect(answer).rejects.toThrow();
    await until(async () => (await worker.stats()).cancelled === 1, 5_000, "the request to be cancelled");
  });

  it("stops itself", async () => {
    await using worker = await startFakeWorker(["--fault", "stop-itself=20"]);
    await until(() => stateOf(worker.program.identity.pid) === "T", 5_000, "it to be stopped");
  });

  it("computes before it answers, deaf to its health path", async () => {
    await using worker = await startFakeWorker(["--fault", "long-prefill=500", "--tokens", "1"]);
    const startedMs = performance.now();
    const answer = chat(worker, {});
    await until(() => stateOf(worker.program.identity.pid) === "R", 5_000, "it to compute");
    await fetch(`${worker.url}/health`);
    expect(performance.now() - startedMs).toBeGreaterThan(400);
    expect((await answer).status).toBe(200);
  });

  it("answers with JSON that is none", async () => {
    await using worker = await startFakeWorker(["--fault", "malformed-json"]);
    await expect((await chat(worker, {})).json()).rejects.toThrow();
  });

  it("closes its output, and forks a child that stays in its session", async () => {
    await using worker = await startFakeWorker(["--fault", "fork-child", "--fault", "close-descriptors"], { waitFor: "nothing" });
    await until(async () => (await fetch(`${worker.url}/health`)).ok, 10_000, "it to serve").catch(() => undefined);
    const child = Number(/forked child (\d+)/.exec(worker.program.output())?.[1]);
    expect(worker.program.output()).not.toContain("is ready");
    expect(readProcStat(child)).toMatchObject({ session: readProcStat(worker.program.identity.pid)?.session });
  });

  it("dies in mid-answer after the tokens that were sent", async () => {
    await using worker = await startFakeWorker(["--fault", "crash-after-tokens=2"]);
    const reader = (await chat(worker, { stream: true })).body?.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    const readAll = async (): Promise<void> => {
      for (let part = await reader?.read(); part?.done === false; part = await reader?.read()) text += part.value;
    };
    await expect(readAll()).rejects.toThrow();
    expect(text).toContain('"content":" bees"');
    expect(text).not.toContain("[DONE]");
    expect((await worker.program.ended()).signal).toBe("SIGKILL");
  });

  it("cuts a stream and lives on", async () => {
    await using worker = await startFakeWorker(["--fault", "drop-stream=1"]);
    await expect((async () => await (await chat(worker, { stream: true })).text())()).rejects.toThrow();
    expect(await worker.stats()).toMatchObject({ failed: 1, open_now: 0 });
  });

  it("answers with the status that was asked for, in OpenAI's error shape", async () => {
    await using worker = await startFakeWorker(["--fault", "http-500=502"]);
    const response = await chat(worker, {});
    expect([response.status, await response.json()]).toMatchObject([502, { error: { type: "server_error" } }]);
  });

  it("outlives TERM, floods its log, and leaves a grandchild that only its folder and its output give away", async () => {
    const flags = ["ignore-term", "flood-log=2", "setsid-child"].flatMap((fault) => ["--fault", fault]);
    await using worker = await startFakeWorker(flags);
    expect(worker.program.output().length).toBeGreaterThan(2 * 1_048_576);
    worker.program.send("SIGTERM");
    await until(() => worker.program.output().includes("TERM is ignored"));
    expect(worker.program.end()).toBeNull();
    const grandchild = Number(/left grandchild (\d+)/.exec(worker.program.output())?.[1]);
    const folder = processesOf({ folder: tmpdir() }).find(({ identity }) => identity.pid === grandchild);
    expect(folder?.traces).toEqual(["cwd", "descriptor"]);
    worker.program.send("SIGKILL");
    expect((await worker.program.ended()).signal).toBe("SIGKILL");
  });
});
