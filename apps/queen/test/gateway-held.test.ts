import { RawClient, RawEngine, rawPost } from "@queen-and-hive/dev-env";
import { describe, expect, it } from "vitest";
import { answers, COMPLETION, DONE, type EngineBehaviour, streams, TestEngine, token } from "./gateway-engine.ts";
import { eventually, GatewayHarness } from "./gateway-harness.ts";

/** An answer whose body comes in chunks of one byte each: each reaches the queen by itself, whatever TCP makes of them. */
const byteByByte = (body: string, type: string): string => {
  const chunks = [...body].map((byte) => `1\r\n${byte}\r\n`).join("");
  return `HTTP/1.1 200 OK\r\ncontent-type: ${type}\r\ntransfer-encoding: chunked\r\n\r\n${chunks}0\r\n\r\n`;
};

describe("an answer that comes byte by byte", () => {
  it.each([
    ["an event", `data: ${"x".repeat(100_000)}\n\n${DONE}`, "text/event-stream"],
    ["a body too large to be held whole", "x".repeat(120_000), "audio/pcm"],
  ])("costs no chunk for each byte: %s", async (_what, body, type) => {
    await using engine = await RawEngine.start();
    engine.behaviour = (socket) => void socket.end(byteByByte(body, type));
    await using queen = await GatewayHarness.start({ answer: { wholeBytes: 100_000, eventBytes: 8_388_608 } });
    queen.directory.add("chat", { url: engine.url });
    using client = new RawClient(queen.server.url);
    client.read();
    await client.send(rawPost("/tokenize", JSON.stringify({ model: "chat" })));
    const received = await client.end();
    // What comes behind the part that was held is passed on as it comes.
    const behind = type === "audio/pcm" ? 20_000 * 5 : 200;
    expect(received.length).toBeGreaterThan(body.length);
    expect(received.length).toBeLessThan(body.length * 1.1 + behind + 1_000);
  });
});

describe("what is held of all answers together", () => {
  const half: EngineBehaviour = ({ response }) => {
    response.writeHead(200, { "content-type": "application/json" });
    response.write(`{"data":"${"x".repeat(6_000)}`);
  };
  const halfEvent: EngineBehaviour = ({ response }) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(`${token("a")}data: "${"x".repeat(6_000)}`);
  };

  it.each([
    ["whole answers", half, 'x"}'],
    ["events that have begun", halfEvent, `x"\n\n${DONE}`],
  ])("is bounded, and given back: %s", async (_what, behaviour, rest) => {
    await using engine = await TestEngine.start(behaviour);
    await using queen = await GatewayHarness.start({ answersBytes: 10_000, retry: { attempts: 1, waitMs: 10 } });
    queen.directory.add("chat", { url: engine.url });
    for (let turn = 0; turn < 2; turn += 1) {
      engine.behaviour = behaviour;
      const first = queen.chat({ stream: true });
      const { response } = await engine.call(engine.calls.length + 1);
      await eventually(() => queen.gateway.requests()[0]?.state === "streaming", "the first has begun");
      // The same bytes may come in several pieces: the rest of them is waited for by what the second is told.
      const refused = await queen.chat();
      const text = await refused.text();
      expect(text).toContain("those of open requests would hold more than");
      if (behaviour === half) {
        expect([refused.status, refused.headers["retry-after"]]).toEqual([429, "1"]);
        expect(JSON.parse(text).error).toMatchObject({ code: "queue_full" });
      } else expect(text.startsWith(token("a"))).toBe(true);
      response.end(rest);
      const whole = await (await first).text();
      expect(whole.endsWith(rest)).toBe(true);
    }
    await eventually(() => queen.gateway.activeCount() === 0, "all have ended");
    expect(queen.directory.reports.every(({ outcome }) => outcome === "ok")).toBe(true);
    engine.behaviour = answers(200, { ...COMPLETION, padding: "x".repeat(8_000) });
    expect((await queen.chat()).status).toBe(200);
  });
});

describe("the last bytes of an answer", () => {
  const MEBIBYTE = 1_048_576;
  const large = JSON.stringify({ ...COMPLETION, padding: "x".repeat(24 * MEBIBYTE) });
  const wholeAnswer: EngineBehaviour = ({ response }) => {
    response.writeHead(200, { "content-type": "application/json" }).end(large);
  };

  /** A client that has asked, and got the head of its answer. */
  async function asked(queen: GatewayHarness, more: readonly string[] = []): Promise<RawClient> {
    const client = new RawClient(queen.server.url);
    await client.send(rawPost("/v1/chat/completions", '{"model":"chat"}', ["connection: close", ...more]));
    await new Promise<void>((resolve) => void client.socket.once("readable", resolve));
    return client;
  }

  it.each([
    ["an answer", wholeAnswer, large.length],
    ["an event", streams(`data: ${large}\n\n`, DONE), large.length],
  ])("reach a client that reads steadily, however long that takes: %s", async (_what, behaviour, bytes) => {
    await using engine = await TestEngine.start(behaviour);
    await using queen = await GatewayHarness.start({
      stream: { idleMs: 400 },
      answer: { wholeBytes: 64 * MEBIBYTE, eventBytes: 64 * MEBIBYTE },
    });
    queen.directory.add("chat", { url: engine.url });
    using client = await asked(queen);
    let received = 0;
    const ended = new Promise<void>((resolve) => void client.socket.once("close", resolve));
    const reading = setInterval(() => {
      const chunk: unknown = client.socket.read(Math.min(192 * 1_024, client.socket.readableLength));
      if (chunk instanceof Uint8Array) received += chunk.length;
    }, 10);
    await ended.finally(() => clearInterval(reading));
    expect(received).toBeGreaterThan(bytes);
    await eventually(() => queen.rows.length === 1, "the row is recorded");
    expect(queen.rows[0]).toMatchObject({ status: 200, error_kind: null });
    expect(queen.rows[0]?.duration_ms).toBeGreaterThan(800);
  });

  it.each([
    ["does not read them", [], "client_closed"],
    ["has them not when its time is over", ["x-request-timeout: 3"], "deadline_exceeded"],
  ])("are no success where the client %s", async (_what, headers, kind) => {
    await using engine = await TestEngine.start(wholeAnswer);
    await using queen = await GatewayHarness.start({ stream: { idleMs: kind === "client_closed" ? 300 : 20_000 } });
    queen.directory.add("chat", { url: engine.url });
    using client = await asked(queen, headers);
    await eventually(() => queen.rows.length === 1, "the row is recorded", 10_000);
    expect(queen.rows[0]).toMatchObject({ status: 200, error_kind: kind });
    client.read();
    expect((await client.end()).length).toBeLessThan(large.length);
  });

  it("are waited for a moment only, once the request's time is over: reading a little now and then keeps nothing open", async () => {
    // One event, larger than what the system holds for the client, and then nothing more: the deadline ends it amid the stream.
    const endless: EngineBehaviour = ({ response }) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(`${token("a")}data: ${large}\n\n`);
    };
    await using engine = await TestEngine.start(endless);
    await using queen = await GatewayHarness.start({ answer: { wholeBytes: 64 * MEBIBYTE, eventBytes: 64 * MEBIBYTE } });
    queen.directory.add("chat", { url: engine.url });
    const client = new RawClient(queen.server.url);
    await client.send(rawPost("/v1/chat/completions", '{"model":"chat","stream":true}', ["x-request-timeout: 3"]));
    const trickle = setInterval(() => void client.socket.read(Math.min(4_096, client.socket.readableLength)), 20);
    await eventually(() => queen.rows.length === 1, "the row is recorded", 15_000).finally(() => clearInterval(trickle));
    expect(queen.rows[0]).toMatchObject({ status: 200, error_kind: "deadline_exceeded" });
    client.socket.destroy();
  });

  it("are no success where the client leaves before it has them", async () => {
    await using engine = await TestEngine.start(wholeAnswer);
    await using queen = await GatewayHarness.start();
    queen.directory.add("chat", { url: engine.url });
    const client = await asked(queen);
    client.socket.destroy();
    await eventually(() => queen.rows.length === 1, "the row is recorded");
    expect(queen.rows[0]).toMatchObject({ status: 200, error_kind: "client_closed" });
  });
});
