import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { startProgram, temporaryDirectory, testEnvironment, until } from "@queen-and-hive/dev-env";
import { describe, expect, it } from "vitest";
import {
  answers,
  beginEvents,
  COMPLETION,
  DONE,
  type EngineBehaviour,
  silence,
  streams,
  TestEngine,
  token,
} from "./gateway-engine.ts";
import { eventually, GatewayHarness } from "./gateway-harness.ts";

const cutAfter =
  (...events: readonly string[]): EngineBehaviour =>
  ({ response }) => {
    beginEvents(response);
    for (const event of events) response.write(event);
    setImmediate(() => response.socket?.destroy());
  };
const resets: EngineBehaviour = ({ response }) => void response.socket?.destroy();

/** The events of a stream that ended with an error: what came before, and the error object. */
function errorEnd(text: string): { readonly before: string; readonly error: Record<string, unknown> } {
  const match = /^([\s\S]*?)data: (\{"error":.*\})\n\ndata: \[DONE\]\n\n$/.exec(text);
  if (match === null) throw new Error(`no error end: ${text}`);
  return { before: match[1] ?? "", error: JSON.parse(match[2] ?? "").error };
}

/** A port where nobody listens. */
async function closedUrl(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((resolve) => void server.close(() => resolve()));
  return `http://127.0.0.1:${port}`;
}

describe("before the engine's first byte", () => {
  it("a worker that cannot be reached is given up for another", async () => {
    await using engine = await TestEngine.start(streams(token("x"), DONE));
    await using queen = await GatewayHarness.start();
    const dead = queen.directory.add("chat", { url: await closedUrl(), slots: 8 });
    queen.directory.add("chat", { url: engine.url, slots: 2 });
    expect(await (await queen.chat({ stream: true })).text()).toBe(token("x") + DONE);
    expect(queen.directory.reports.map(({ worker, outcome }) => [worker === dead, outcome])).toEqual([
      [true, "connect_failed"],
      [false, "ok"],
    ]);
    await eventually(() => queen.rows.length === 1, "the row is recorded");
    expect(queen.rows[0]).toMatchObject({ attempts: 2, status: 200, error_kind: null });
  });

  it("a connection that breaks after the headers is no answer yet", async () => {
    await using broken = await TestEngine.start(cutAfter());
    await using engine = await TestEngine.start(streams(DONE));
    await using queen = await GatewayHarness.start();
    queen.directory.add("chat", { url: broken.url, slots: 8 });
    queen.directory.add("chat", { url: engine.url, slots: 2 });
    expect(await (await queen.chat({ stream: true })).text()).toBe(DONE);
    expect(broken.calls).toHaveLength(1);
  });

  it.each([502, 503, 504])(
    "an engine that answers %i is given up for another, and passed through when there is none",
    async (status) => {
      await using sick = await TestEngine.start(answers(status, { error: { message: "loading" } }));
      await using engine = await TestEngine.start(answers(200, COMPLETION));
      await using queen = await GatewayHarness.start();
      queen.directory.add("chat", { url: sick.url, slots: 8 });
      const alone = await queen.chat();
      expect(alone.status).toBe(status);
      expect(await alone.json()).toEqual({ error: { message: "loading" } });
      queen.directory.add("chat", { url: engine.url, slots: 2 });
      expect((await queen.chat()).status).toBe(200);
      expect(sick.calls).toHaveLength(2);
    },
  );

  it("half a JSON body is never delivered: cut on the wire or ended too early", async () => {
    await using half = await TestEngine.start(({ response }) => {
      response.writeHead(200, { "content-type": "application/json", "content-length": 1_000 });
      response.write('{"choices":[');
      setImmediate(() => response.socket?.destroy());
    });
    await using short = await TestEngine.start(({ response }) => {
      response.writeHead(200, { "content-type": "application/json" });
      response.end('{"choices":[{}');
    });
    await using engine = await TestEngine.start(answers(200, COMPLETION));
    await using queen = await GatewayHarness.start();
    queen.directory.add("chat", { url: half.url, slots: 8 });
    queen.directory.add("chat", { url: short.url, slots: 6 });
    queen.directory.add("chat", { url: engine.url, slots: 2 });
    expect(await (await queen.chat()).json()).toEqual(COMPLETION);
    expect([half.calls.length, short.calls.length, engine.calls.length]).toEqual([1, 1, 1]);
  });

  it("three tries are the limit, and then the failure is a status", async () => {
    await using queen = await GatewayHarness.start();
    const engines = await Promise.all([1, 2, 3, 4].map(() => TestEngine.start(resets)));
    for (const engine of engines) queen.directory.add("chat", { url: engine.url });
    const answer = await queen.chat({ stream: true });
    expect(answer.status).toBe(502);
    expect((await answer.json()).error).toMatchObject({ code: "engine_failed" });
    expect(engines.reduce((sum, engine) => sum + engine.calls.length, 0)).toBe(3);
    for (const engine of engines) await engine[Symbol.asyncDispose]();
  });

  it("a crashed worker's request waits for its successor, and keeps its place before later ones", async () => {
    await using engine = await TestEngine.start(silence);
    await using successor = await TestEngine.start(streams(DONE));
    await using queen = await GatewayHarness.start();
    const worker = queen.directory.add("chat", { url: engine.url, slots: 1 });
    const first = queen.chat({ stream: true, user: "first" });
    await engine.call(1);
    const second = queen.chat({ stream: true, user: "second" });
    await eventually(() => queen.gateway.waiting("chat") === 1, "the second waits");
    queen.directory.lose("chat", worker);
    await eventually(() => queen.gateway.waiting("chat") === 2, "the first waits again");
    expect(queen.directory.wanted).toContain("chat");
    queen.directory.add("chat", { url: successor.url, slots: 1 });
    await Promise.all([(await first).text(), (await second).text()]);
    expect(successor.calls.map((call) => JSON.parse(call.body).user)).toEqual(["first", "second"]);
  });

  it("an old connection that the engine has closed meanwhile is not the client's trouble", async () => {
    await using engine = await TestEngine.start(streams(DONE));
    await using queen = await GatewayHarness.start();
    queen.directory.add("chat", { url: engine.url });
    await (await queen.chat({ stream: true })).text();
    // The engine resets the kept connection as the next request arrives on it.
    let isFirst = true;
    engine.behaviour = (call) => {
      if (isFirst) call.response.socket?.resetAndDestroy();
      else void streams(DONE)(call);
      isFirst = false;
    };
    const answer = await queen.chat({ stream: true });
    expect(answer.status).toBe(200);
    expect(await answer.text()).toBe(DONE);
  });

  it("a single worker that cannot be reached is a 502 once no other has come", async () => {
    await using queen = await GatewayHarness.start({ retry: { attempts: 3, waitMs: 50 } });
    queen.directory.add("chat", { url: await closedUrl() });
    const answer = await queen.chat();
    expect(answer.status).toBe(502);
    expect((await answer.json()).error).toMatchObject({ code: "engine_unreachable" });
  });

  it("a worker whose connections are not accepted is given up at the limit for connecting", async () => {
    await using directory = await temporaryDirectory("qh-full");
    const listen =
      'const full = require("net").createServer().listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => console.log("port", full.address().port, "."))';
    const program = await startProgram([process.execPath, "-e", listen], {
      env: testEnvironment(directory.path),
      cwd: directory.path,
      logFile: directory.join("full.log"),
    });
    const fillers: Socket[] = [];
    try {
      const port = await until(() => /port (\d+) \./.exec(program.output())?.[1] ?? null, 20_000, "it listens");
      // The kernel takes connections for a stopped process until its backlog is full; what comes after that hangs.
      program.send("SIGSTOP");
      for (let count = 0; count < 8; count += 1) fillers.push(connect(Number(port), "127.0.0.1").on("error", () => undefined));
      await until(() => fillers.filter((filler) => !filler.connecting).length >= 2, 20_000, "the backlog is full");
      await using queen = await GatewayHarness.start({ stream: { connectMs: 500 }, retry: { attempts: 1, waitMs: 10 } });
      queen.directory.add("chat", { url: `http://127.0.0.1:${port}` });
      const answer = await queen.chat();
      expect([answer.status, (await answer.json()).error["code"]]).toEqual([502, "engine_unreachable"]);
      expect(queen.directory.reports.map((report) => report.outcome)).toEqual(["connect_failed"]);
    } finally {
      for (const filler of fillers) filler.destroy();
      program.send("SIGKILL");
      await program.ended();
    }
  });

  it("an engine that never answers is a timeout, and is told to stop", async () => {
    await using engine = await TestEngine.start(silence);
    await using queen = await GatewayHarness.start({ stream: { firstByteMs: 50 } });
    queen.directory.add("chat", { url: engine.url });
    const answer = await queen.chat({ stream: true });
    expect(answer.status).toBe(504);
    expect((await answer.json()).error).toMatchObject({ code: "engine_timeout" });
    await (await engine.call(1)).aborted;
    expect(queen.directory.reports.map((report) => report.outcome)).toEqual(["timeout"]);
  });

  it("an engine that never answers is given up for another, once: a second time-out is the end", async () => {
    await using mute = await TestEngine.start(silence);
    await using engine = await TestEngine.start(streams(token("x"), DONE));
    await using queen = await GatewayHarness.start({ stream: { firstByteMs: 100 } });
    queen.directory.add("chat", { url: mute.url, slots: 16 });
    const other = queen.directory.add("chat", { url: engine.url, slots: 2 });
    expect(await (await queen.chat({ stream: true })).text()).toBe(token("x") + DONE);
    await (await mute.call(1)).aborted;
    queen.directory.lose("chat", other);
    queen.directory.add("chat", { url: mute.url, slots: 8 });
    queen.directory.add("chat", { url: mute.url, slots: 8 });
    const answer = await queen.chat({ stream: true });
    expect([answer.status, (await answer.json()).error]).toMatchObject([504, { code: "engine_timeout" }]);
    expect(mute.calls).toHaveLength(3);
  });

  it("a worker whose hive may be lost is given up for another as soon as there is one", async () => {
    await using mute = await TestEngine.start(silence);
    await using engine = await TestEngine.start(streams(token("x"), DONE));
    await using queen = await GatewayHarness.start();
    const doubted = queen.directory.add("chat", { url: mute.url });
    const asked = queen.chat({ stream: true });
    const { aborted } = await mute.call(1);
    let isAborted = false;
    void aborted.then(() => {
      isAborted = true;
    });
    queen.directory.doubt("chat", doubted);
    queen.directory.changes.publish("chat");
    expect(isAborted).toBe(false);
    queen.directory.add("chat", { url: engine.url });
    const answer = await asked;
    expect([answer.status, await answer.text()]).toEqual([200, token("x") + DONE]);
    await aborted;
    // It is not the worker's failure.
    expect(queen.directory.reports.map(({ worker, outcome }) => [worker === doubted, outcome])).toEqual([[false, "ok"]]);
  });

  it("a request past its total limit ends with deadline_exceeded", async () => {
    await using engine = await TestEngine.start(silence);
    await using queen = await GatewayHarness.start({ stream: { totalMs: 50 } });
    queen.directory.add("chat", { url: engine.url });
    const answer = await queen.chat();
    expect(answer.status).toBe(504);
    expect((await answer.json()).error).toMatchObject({ code: "deadline_exceeded" });
    await (await engine.call(1)).aborted;
  });
});

describe("an engine that begins and breaks before a byte of its answer has reached the client", () => {
  const unfinished = (text: string, type: string): EngineBehaviour => {
    return ({ response }) => {
      response.writeHead(200, { "content-type": type });
      response.write(text);
    };
  };

  it.each<[string, EngineBehaviour]>([
    ["half an event and then silence", unfinished('data: {"half', "text/event-stream")],
    ["half a JSON and then silence", unfinished('{"choices":[', "application/json")],
    ["an error without the line that ends its event", streams('data: {"error":{"message":"no memory"}}\n')],
    ["an error without any line break", streams('data: {"error":{"message":"no memory"}}')],
  ])("%s: another worker is asked", async (_what, behaviour) => {
    await using broken = await TestEngine.start(behaviour);
    await using engine = await TestEngine.start(streams(token("x"), DONE));
    await using queen = await GatewayHarness.start({ stream: { idleMs: 100 } });
    queen.directory.add("chat", { url: broken.url, slots: 8 });
    queen.directory.add("chat", { url: engine.url, slots: 2 });
    const answer = await queen.chat({ stream: true });
    expect([answer.status, await answer.text()]).toEqual([200, token("x") + DONE]);
    expect([broken.calls.length, engine.calls.length]).toEqual([1, 1]);
  });

  it("half an event of a worker whose hive may be lost: another worker is asked", async () => {
    await using broken = await TestEngine.start(unfinished('data: {"half', "text/event-stream"));
    await using engine = await TestEngine.start(streams(token("x"), DONE));
    await using queen = await GatewayHarness.start();
    const doubted = queen.directory.add("chat", { url: broken.url, slots: 8 });
    queen.directory.add("chat", { url: engine.url, slots: 2 });
    const asked = queen.chat({ stream: true });
    await broken.call(1);
    await eventually(() => queen.gateway.requests()[0]?.state === "streaming", "the half event has come");
    queen.directory.doubt("chat", doubted);
    expect(await (await asked).text()).toBe(token("x") + DONE);
  });

  it("an error as the first event, after the headers of the stream are out: another worker is asked", async () => {
    let say = (): void => undefined;
    await using broken = await TestEngine.start((call) => {
      say = () => void streams('data: {"error":{"message":"loading","code":503}}\n\n')(call);
    });
    await using engine = await TestEngine.start(streams(token("x"), DONE));
    await using queen = await GatewayHarness.start({ stream: { commitAfterMs: 10 } });
    queen.directory.add("chat", { url: broken.url, slots: 8 });
    queen.directory.add("chat", { url: engine.url, slots: 2 });
    const answer = await queen.chat({ stream: true });
    await broken.call(1);
    say();
    expect(await answer.text()).toMatch(/^: keep-alive\n\n: queen attempts=2 [^\n]*\n\ndata: .*"x".*\n\ndata: \[DONE\]\n\n$/);
  });

  it.each([
    ["a last event without the line that ends it", [token("a"), 'data: {"id":2}'], `${token("a")}data: {"id":2}\n\n`],
    ["one event without the line that ends it", ['data: {"id":2}\n'], 'data: {"id":2}\n\n'],
    ["nothing", [], ""],
  ])("a route whose streams have no last word passes on %s", async (_what, events, expected) => {
    await using engine = await TestEngine.start(streams(...events));
    await using queen = await GatewayHarness.start();
    queen.directory.add("chat", { url: engine.url });
    const answer = await queen.post("/tokenize", JSON.stringify({ model: "chat" }));
    expect([answer.status, answer.headers["content-type"], await answer.text()]).toEqual([200, "text/event-stream", expected]);
    expect(queen.directory.reports.map(({ outcome }) => outcome)).toEqual(["ok"]);
  });

  it("what a failed try has said of its usage is not counted for the next", async () => {
    const usage = 'data: {"error":{"message":"loading","code":503},"usage":{"prompt_tokens":900,"completion_tokens":800}}\n\n';
    await using broken = await TestEngine.start(streams(usage));
    await using engine = await TestEngine.start(streams(token("x"), DONE));
    await using queen = await GatewayHarness.start();
    queen.directory.add("chat", { url: broken.url, slots: 8 });
    queen.directory.add("chat", { url: engine.url, slots: 2 });
    expect(await (await queen.chat({ stream: true })).text()).toBe(token("x") + DONE);
    await eventually(() => queen.rows.length === 1, "the row is recorded");
    expect(queen.rows[0]).toMatchObject({ attempts: 2, prompt_tokens: null, completion_tokens: null });
  });
});

describe("after the engine's first byte", () => {
  it("a cut ends with an error event and [DONE], half an event is dropped, and nothing is tried again", async () => {
    await using broken = await TestEngine.start(cutAfter(token("a"), token("b").slice(0, 30)));
    await using engine = await TestEngine.start(streams(DONE));
    await using queen = await GatewayHarness.start();
    queen.directory.add("chat", { url: broken.url, slots: 8 });
    queen.directory.add("chat", { url: engine.url, slots: 2 });
    const answer = await queen.chat({ stream: true });
    const { before, error } = errorEnd(await answer.text());
    expect(before).toBe(token("a"));
    expect(error).toMatchObject({ code: "engine_failed", type: "server_error" });
    expect(engine.calls).toHaveLength(0);
    await eventually(() => queen.rows.length === 1, "the row is recorded");
    expect(queen.rows[0]).toMatchObject({ status: 200, error_kind: "engine_failed", attempts: 1 });
  });

  it("a stream that ends without [DONE] ends with an error event", async () => {
    await using engine = await TestEngine.start(streams(token("a")));
    await using queen = await GatewayHarness.start();
    queen.directory.add("chat", { url: engine.url });
    expect(errorEnd(await (await queen.chat({ stream: true })).text()).before).toBe(token("a"));
  });

  it("an error that the engine itself has said is not said twice", async () => {
    const own = 'data: {"error":{"message":"out of memory"}}\n\n';
    await using engine = await TestEngine.start(streams(token("a"), own));
    await using queen = await GatewayHarness.start();
    queen.directory.add("chat", { url: engine.url });
    expect(await (await queen.chat({ stream: true })).text()).toBe(token("a") + own + DONE);
  });

  it("a break after [DONE] is a complete answer", async () => {
    await using engine = await TestEngine.start(cutAfter(token("a"), DONE));
    await using queen = await GatewayHarness.start();
    queen.directory.add("chat", { url: engine.url });
    expect(await (await queen.chat({ stream: true })).text()).toBe(token("a") + DONE);
    await eventually(() => queen.directory.reports.length > 0, "the worker's work is reported");
    expect(queen.directory.reports.map((report) => report.outcome)).toEqual(["ok"]);
  });

  it("a lost worker ends the stream well-formed at once, with the reason of the loss", async () => {
    await using engine = await TestEngine.start(({ response }) => {
      beginEvents(response);
      response.write(token("a"));
    });
    await using queen = await GatewayHarness.start();
    const worker = queen.directory.add("chat", { url: engine.url });
    const answer = await queen.chat({ stream: true });
    await answer.until(token("a"));
    queen.directory.lose("chat", worker);
    const { error } = errorEnd(await answer.text());
    expect(error["message"]).toMatch(/the worker has crashed/);
    await (await engine.call(1)).aborted;
  });

  it("a doubt about the hive of its worker leaves a stream alone", async () => {
    const begun: EngineBehaviour = ({ response }) => {
      beginEvents(response);
      response.write(token("a"));
    };
    await using engine = await TestEngine.start(begun);
    await using other = await TestEngine.start(silence);
    await using queen = await GatewayHarness.start();
    const doubted = queen.directory.add("chat", { url: engine.url, slots: 8 });
    queen.directory.add("chat", { url: other.url, slots: 2 });
    const answer = await queen.chat({ stream: true });
    await answer.until(token("a"));
    queen.directory.doubt("chat", doubted);
    const { response } = await engine.call(1);
    response.end(DONE);
    expect(await answer.text()).toBe(DONE);
    expect(other.calls).toHaveLength(0);
  });

  it("silence longer than idle ends the stream with a timeout", async () => {
    await using engine = await TestEngine.start(({ response }) => {
      beginEvents(response);
      response.write(token("a"));
    });
    await using queen = await GatewayHarness.start({ stream: { idleMs: 60 } });
    queen.directory.add("chat", { url: engine.url });
    const { error } = errorEnd(await (await queen.chat({ stream: true })).text());
    expect(error).toMatchObject({ code: "engine_timeout" });
    await (await engine.call(1)).aborted;
  });

  it("an event larger than allowed ends the stream instead of the queen's memory", async () => {
    await using engine = await TestEngine.start(({ response }) => {
      beginEvents(response);
      response.write(`${token("a")}data: ${"x".repeat(5_000)}`);
    });
    await using queen = await GatewayHarness.start({ answer: { wholeBytes: 1_000_000, eventBytes: 2_000 } });
    queen.directory.add("chat", { url: engine.url });
    expect(errorEnd(await (await queen.chat({ stream: true })).text()).before).toBe(token("a"));
  });
});

describe("after commit_after and before the engine's first byte", () => {
  const early = { stream: { commitAfterMs: 10 } };

  it("another worker may still be tried, since comments are no bytes of an answer", async () => {
    await using broken = await TestEngine.start(silence);
    await using engine = await TestEngine.start(streams(token("x"), DONE));
    await using queen = await GatewayHarness.start(early);
    const worker = queen.directory.add("chat", { url: broken.url });
    const answer = await queen.chat({ stream: true });
    await answer.until(": keep-alive\n\n");
    await broken.call(1);
    queen.directory.lose("chat", worker);
    queen.directory.add("chat", { url: engine.url });
    const text = await answer.text();
    expect(text).toMatch(/^: queen attempts=2 queue_ms=/);
    expect(text.endsWith(token("x") + DONE)).toBe(true);
  });

  it("an engine's error status becomes an error event with the engine's words", async () => {
    let say = (): void => undefined;
    await using engine = await TestEngine.start((call) => {
      say = () => void answers(400, { error: { message: "context too long", code: "ctx" } })(call);
    });
    await using queen = await GatewayHarness.start(early);
    queen.directory.add("chat", { url: engine.url });
    const answer = await queen.chat({ stream: true });
    await engine.call(1);
    say();
    const { error } = errorEnd(await answer.text());
    expect(error).toEqual({ message: "context too long", code: "ctx" });
  });

  it("a model that cannot be had becomes an error event", async () => {
    await using queen = await GatewayHarness.start(early);
    const answer = await queen.chat({ stream: true });
    queen.directory.fail("chat", {
      cause: "model_missing",
      message: "cannot start chat: its model file is missing",
      retryAfterS: 300,
    });
    const { error } = errorEnd(await answer.text());
    expect(error).toMatchObject({ code: "model_unavailable", details: { cause: "model_missing" } });
  });
});
