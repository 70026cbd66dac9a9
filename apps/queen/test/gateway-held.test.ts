import { describe, expect, it } from "vitest";
import { answers, COMPLETION, DONE, type EngineBehaviour, TestEngine, token } from "./gateway-engine.ts";
import { eventually, GatewayHarness } from "./gateway-harness.ts";
import { RawClient, RawEngine, rawPost } from "./raw-sockets.ts";

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
