import { readFileSync } from "node:fs";
import type { Socket } from "node:net";
import {
  HEALTH_MS_MAX,
  HealthSampler,
  RawClient,
  RawEngine,
  type RunningFakeWorker,
  rawPost,
  STREAM_HEAD,
  startFakeWorker,
  startTestQueen,
  type TestQueen,
  until,
} from "@queen-and-hive/dev-env";
import { QUEEN_ENDPOINTS } from "@queen-and-hive/protocol";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { DONE, token } from "./gateway-engine.ts";

const CHAT = "/v1/chat/completions";
const MEBIBYTE = 1_048_576;

let engine: RunningFakeWorker;
let flood: RawEngine;
let queen: TestQueen;

beforeAll(async () => {
  engine = await startFakeWorker();
  flood = await RawEngine.start();
  queen = await startTestQueen({
    hives: [],
    config: {
      upstreams: [
        { id: "good", url: `${engine.url}/v1`, models: { chat: "chat" } },
        { id: "flood", url: `${flood.url}/v1`, models: { flood: "flood" } },
      ],
      health: { interval: "1h" },
      stream: { idle: "1s" },
    },
  });
});

afterAll(async () => {
  process.stdout.write(`slowest /health: ${worst.ms.toFixed(1)} ms, during: ${worst.during}\n`);
  await queen?.[Symbol.asyncDispose]();
  await engine?.[Symbol.asyncDispose]();
  await flood?.[Symbol.asyncDispose]();
});

let health: HealthSampler;
let worst: { readonly ms: number; readonly during: string } = { ms: 0, during: "none" };

beforeEach(() => {
  health = new HealthSampler(queen.url);
});

// All the while. Machines are shared: the bound is for what blocks, and the figure for people.
afterEach(async ({ task }) => {
  const seen = await health.stop();
  if (seen.worstMs > worst.ms) worst = { ms: seen.worstMs, during: task.name };
  expect(seen.failures).toEqual([]);
  expect(seen.worstMs).toBeLessThan(HEALTH_MS_MAX);
});

/** The queen has nothing left of this client. */
async function isUnharmed(): Promise<void> {
  await until(async () => (await queen.peer.call(QUEEN_ENDPOINTS.listRequests)).requests.length === 0, 20_000, "nothing is open");
}

/** Sends bytes on a connection of their own and gives the answer to its end. */
async function say(bytes: string | Buffer, to = queen): Promise<string> {
  using client = new RawClient(to.url).read();
  await client.send(bytes);
  return await client.end();
}

function refusal(answer: string): { readonly status: number; readonly code: unknown } {
  const status = Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]);
  const body: unknown = JSON.parse(answer.slice(answer.indexOf("\r\n\r\n")));
  return { status, code: Reflect.get(Object(Reflect.get(Object(body), "error")), "code") };
}

describe("a body that is none", () => {
  it.each<[string, string | Buffer, number, string]>([
    ["no JSON", "hello", 400, "malformed_json"],
    ["half a JSON", '{"model":"chat","messages":[', 400, "malformed_json"],
    ["no model", '{"messages":[]}', 400, "model_required"],
    ["a model of a wrong type", '{"model":{"id":"chat"}}', 400, "model_required"],
    ["a list", '[{"model":"chat"}]', 400, "invalid_body"],
    ["100,000 levels", `{"model":"chat","a":${"[".repeat(100_000)}`, 400, "malformed_json"],
    ["invalid UTF-8", Buffer.from([...Buffer.from('{"model":"chat","a":"'), 0xc3, 0x28, 0x22, 0x7d]), 400, "malformed_json"],
    [
      "a lone surrogate in UTF-8",
      Buffer.from([...Buffer.from('{"model":"chat","a":"'), 0xed, 0xa0, 0x80, 0x22, 0x7d]),
      400,
      "malformed_json",
    ],
  ])("%s gets one clear error", async (_what, body, status, code) => {
    expect(refusal(await say(rawPost(CHAT, body)))).toEqual({ status, code });
    await isUnharmed();
  });

  it("of 100 MB is refused, announced or not, and the client can read why", async () => {
    using announced = new RawClient(queen.url).read();
    await announced.send(
      `POST ${CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${100 * MEBIBYTE}\r\n\r\n`,
    );
    expect(await announced.until("body_too_large")).toContain("HTTP/1.1 413 ");
    using chunked = new RawClient(queen.url).read();
    await chunked.send(
      `POST ${CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n`,
    );
    const chunk = `100000\r\n${" ".repeat(MEBIBYTE)}\r\n`;
    const sending = (async () => {
      for (let sent = 0; sent < 100 && !chunked.socket.destroyed; sent += 1) await chunked.send(chunk);
    })();
    expect(await chunked.until("body_too_large")).toContain("HTTP/1.1 413 ");
    await isUnharmed();
    chunked.socket.destroy();
    await Promise.race([sending, chunked.end()]);
  });

  it("cut in the middle of a chunk is forgotten, and reaches no engine", async () => {
    const before = (await engine.stats()).started;
    using client = new RawClient(queen.url).read();
    await client.send(
      `POST ${CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n20\r\n{"model":`,
    );
    const isOpen = async () => (await queen.peer.call(QUEEN_ENDPOINTS.listRequests)).requests.length === 1;
    await until(isOpen, 20_000, "the request is open");
    client.socket.resetAndDestroy();
    await isUnharmed();
    expect((await engine.stats()).started).toBe(before);
  });

  it("with a broken chunk gets a 400", async () => {
    const answer = await say(
      `POST ${CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n`,
    );
    expect(answer).toContain("HTTP/1.1 400 ");
    await isUnharmed();
  });

  it("with two lengths, or a length and chunks, gets a 400", async () => {
    for (const header of ["content-length: 3", "transfer-encoding: chunked"]) {
      expect(await say(rawPost(CHAT, '{"model":"chat"}', [header, "connection: close"]))).toContain("HTTP/1.1 400 ");
    }
    await isUnharmed();
  });
});

describe("what looks bad and is the engine's business", () => {
  it("a __proto__ is passed on and changes nothing here", async () => {
    const body = '{"model":"chat","__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}';
    expect(await say(rawPost(CHAT, body))).toContain("HTTP/1.1 200 ");
    const seen = (await engine.stats()).last.at(-1)?.body;
    expect(JSON.stringify(seen)).toBe(body);
    await isUnharmed();
  });

  it("1,000 levels are passed on", async () => {
    const answer = await say(rawPost(CHAT, `{"model":"chat","a":${"[".repeat(1_000)}${"]".repeat(1_000)}}`));
    expect(answer).toContain("HTTP/1.1 200 ");
    await isUnharmed();
  });
});

describe("a large body", () => {
  it("is held once and not copied, whatever part of it is an image", async () => {
    const upstreams = [{ id: "good", url: `${engine.url}/v1`, models: { chat: "chat" } }];
    await using fresh = await startTestQueen({ hives: [], config: { upstreams } });
    const body = `{"model":"chat","image":"${"A".repeat(45 * MEBIBYTE)}"}`;
    const before = peakBytes(fresh);
    expect(await say(rawPost(CHAT, body), fresh)).toContain("HTTP/1.1 200 ");
    // Twice: what has been sent to the engine is on its way while the rest still stands here.
    expect(peakBytes(fresh) - before).toBeLessThan(2 * 45 * MEBIBYTE);
  });
});

describe("a connection", () => {
  it("with a flood of headers gets a 431", async () => {
    const flooded = await say(
      rawPost(
        CHAT,
        "{}",
        Array.from({ length: 2_000 }, (_, index) => `x-${index}: ${"x".repeat(50)}`),
      ),
    );
    expect(refusal(flooded)).toEqual({ status: 431, code: "headers_too_large" });
    await isUnharmed();
  });

  it("whose headers never end (slow-loris) gets a 408", async () => {
    using client = new RawClient(queen.url).read();
    await client.send(`POST ${CHAT} HTTP/1.1\r\nhost: localhost\r\n`);
    const drip = setInterval(() => void client.send("x-a: b\r\n"), 500);
    const answer = await client.end().finally(() => clearInterval(drip));
    expect(refusal(answer)).toEqual({ status: 408, code: "request_timeout" });
    await isUnharmed();
  });

  it("whose body comes byte by byte gets a 408 at limits.receive", async () => {
    await using strict = await startTestQueen({ hives: [], config: { limits: { receive: "1s" } } });
    using client = new RawClient(strict.url).read();
    await client.send(
      `POST ${CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{`,
    );
    const drip = setInterval(() => void client.send(" "), 50);
    const answer = await client.until("request_timeout").finally(() => clearInterval(drip));
    expect(answer).toContain("HTTP/1.1 408 ");
    expect((await fetch(`${strict.url}/health`)).status).toBe(200);
  });

  it("with several requests in one write (pipelining) gets their answers in order", async () => {
    const requests = ["first", "second", "third"].map((id, index) =>
      rawPost(CHAT, `{"model":"chat","max_tokens":${3 - index}}`, [
        `x-request-id: ${id}`,
        ...(index === 2 ? ["connection: close"] : []),
      ]),
    );
    const answers = await say(Buffer.concat(requests));
    expect([...answers.matchAll(/x-request-id: (\w+)/g)].map((match) => match[1])).toEqual(["first", "second", "third"]);
    expect([...answers.matchAll(/"completion_tokens":(\d)/g)].map((match) => match[1])).toEqual(["3", "2", "1"]);
    await isUnharmed();
  });

  it("that expects 100-continue is told to go on, and one that expects anything else is refused", async () => {
    using client = new RawClient(queen.url).read();
    const [head, body] = rawPost(CHAT, '{"model":"chat"}', ["expect: 100-continue", "connection: close"])
      .toString()
      .split("\r\n\r\n");
    await client.send(`${head}\r\n\r\n`);
    await client.until("HTTP/1.1 100 Continue\r\n\r\n");
    await client.send(body ?? "");
    expect(await client.end()).toContain("HTTP/1.1 200 OK");
    expect(await say(rawPost(CHAT, '{"model":"chat"}', ["expect: miracles", "connection: close"]))).toContain("HTTP/1.1 417 ");
    await isUnharmed();
  });

  it("that reads one byte and then none is given up, its engine stopped, and nothing piles up meanwhile", async () => {
    const chunk = token("x".repeat(100_000));
    let written = 0;
    let isCut = false;
    flood.behaviour = (socket) => {
      socket.on("close", () => {
        isCut = true;
      });
      const write = (): void => {
        if (socket.destroyed) return;
        written += chunk.length;
        if (socket.write(chunk)) setImmediate(write);
        else socket.once("drain", write);
      };
      socket.write(STREAM_HEAD, write);
    };
    using client = new RawClient(queen.url);
    const residentBefore = await residentBytes();
    await client.send(rawPost(CHAT, '{"model":"flood","stream":true}'));
    await new Promise<void>((resolve) => void client.socket.once("readable", resolve));
    client.socket.read(1);
    client.socket.pause();
    await until(() => isCut, 20_000, "the engine is told to stop");
    expect(written).toBeLessThan(40 * MEBIBYTE);
    expect((await residentBytes()) - residentBefore).toBeLessThan(60 * MEBIBYTE);
    await isUnharmed();
    flood.behaviour = (socket) => void socket.end(STREAM_HEAD + DONE);
    expect(await say(rawPost(CHAT, '{"model":"flood","stream":true}'))).toContain(DONE);
  });

  it("beyond limits.connections_per_ip gets a 429 and is closed, until another one of its address has gone", async () => {
    await using strict = await startTestQueen({ hives: [], config: { limits: { connections_per_ip: 2 } } });
    const get = "GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n";
    // What the start of the queen was seen by may still be open.
    const held: RawClient[] = [];
    try {
      const isFull = async (): Promise<boolean> => {
        const client = new RawClient(strict.url).read();
        held.push(client);
        await client.send(get);
        return (await client.until("\r\n\r\n")).includes("HTTP/1.1 429 ");
      };
      await until(isFull, 20_000, "the address has its connections");
      const refused = held.at(-1);
      expect(refusal((await refused?.end()) ?? "")).toEqual({ status: 429, code: "queue_full" });
      expect(held.length).toBeLessThanOrEqual(3);
      for (const client of held.splice(0)) client.socket.destroy();
      await until(async () => !(await isFull()), 20_000, "there is room again");
    } finally {
      for (const client of held) client.socket.destroy();
    }
  });

  it("that sends no HTTP into the middle of its answer is cut, and nothing is written into that answer", async () => {
    const bodies: Socket[] = [];
    flood.behaviour = (socket) => {
      bodies.push(socket);
      socket.write(STREAM_HEAD + token("a"));
    };
    using client = new RawClient(queen.url).read();
    await client.send(rawPost(CHAT, '{"model":"flood","stream":true}', []));
    await client.until(token("a"));
    await client.send("\u0016\u0003\u0001 hello\r\n\r\n");
    const answer = await client.end();
    expect(answer.match(/HTTP\/1\.1 /g)).toHaveLength(1);
    expect(answer).not.toContain("invalid_body");
    await until(() => bodies.every((socket) => socket.destroyed), 20_000, "the engine is told to stop");
    await isUnharmed();
  });

  it("that sends no HTTP gets a 400", async () => {
    expect(await say("\u0016\u0003\u0001 hello\r\n\r\n")).toContain("HTTP/1.1 400 ");
    await isUnharmed();
  });
});

async function residentBytes(): Promise<number> {
  const text = await (await fetch(`${queen.url}/metrics`)).text();
  return Number(/^process_resident_memory_bytes (\d+)/m.exec(text)?.[1]);
}

/** The most memory that a queen ever had (proc(5), VmHWM). */
function peakBytes({ program }: TestQueen): number {
  const text = readFileSync(`/proc/${program.identity.pid}/status`, "utf8");
  return Number(/^VmHWM:\s*(\d+) kB/m.exec(text)?.[1]) * 1_024;
}
