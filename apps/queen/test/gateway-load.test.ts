import { Agent, type ServerResponse } from "node:http";
import { getHeapSpaceStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import OpenAI from "openai";
import { describe, expect, it } from "vitest";
import { answers, beginEvents, COMPLETION, DONE, streams, TestEngine, token } from "./gateway-engine.ts";
import { eventually, GatewayHarness } from "./gateway-harness.ts";

setFlagsFromString("--expose-gc");
const collectGarbage: unknown = runInNewContext("gc");

function heapAfterCollection(): number {
  if (typeof collectGarbage === "function") collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** What has outlived its youth: only a collection of everything takes it away. */
function oldGenerationBytes(): number {
  return getHeapSpaceStatistics().find(({ space_name }) => space_name === "old_space")?.space_used_size ?? Number.NaN;
}

describe("the gateway under load", () => {
  it("holds little of a stream whose client reads slowly: the engine is made to wait", async () => {
    const chunk = token("x".repeat(100_000));
    const total = 400;
    let written = 0;
    await using engine = await TestEngine.start(async ({ response }) => {
      beginEvents(response);
      for (; written < total; written += 1) {
        if (!response.write(chunk)) await new Promise<void>((resolve) => void response.once("drain", resolve));
      }
      response.end(DONE);
    });
    await using queen = await GatewayHarness.start();
    queen.directory.add("chat", { url: engine.url });
    const answer = await queen.chat({ stream: true });
    let last = 0;
    let looks = 0;
    await eventually(() => {
      looks = written > 0 && written === last ? looks + 1 : 0;
      last = written;
      return looks === 100;
    }, "the engine stands still");
    // What the kernel's socket buffers take is a few megabytes of the forty.
    expect(written).toBeLessThan(total / 2);
    const text = await answer.text();
    expect(text.length).toBe(chunk.length * total + DONE.length);
    expect(queen.directory.reports.map((report) => report.outcome)).toEqual(["ok"]);
  });

  it("drops a client that does not read for longer than idle, and frees the slot", async () => {
    await using engine = await TestEngine.start(({ response }) => {
      beginEvents(response);
      for (let count = 0; count < 100; count += 1) response.write(token("x".repeat(500_000)));
    });
    await using queen = await GatewayHarness.start({ stream: { idleMs: 150 } });
    const worker = queen.directory.add("chat", { url: engine.url });
    const answer = await queen.chat({ stream: true });
    answer.message.on("error", () => undefined);
    await (await engine.call(1)).aborted;
    await eventually(
      () => queen.gateway.inFlight(worker.workerId) === 0 && queen.gateway.activeCount() === 0,
      "the slot is free",
    );
    expect(queen.rows[0]).toMatchObject({ error_kind: "client_closed" });
  });

  it("gives memory and sockets back after 2,000 requests, 50 at a time", async () => {
    const stream = streams(token("a"), token("b"), DONE);
    await using engine = await TestEngine.start((call) =>
      call.body.includes('"stream":true') ? stream(call) : answers(200, COMPLETION)(call),
    );
    await using queen = await GatewayHarness.start();
    const worker = queen.directory.add("chat", { url: engine.url, slots: 16 });
    const agent = new Agent({ keepAlive: true, maxSockets: 50 });
    const round = async (count: number): Promise<void> => {
      for (let done = 0; done < count; done += 50) {
        await Promise.all(
          Array.from({ length: 50 }, async (_, index) => (await queen.chat({ stream: index % 2 === 0 }, { agent })).text()),
        );
        engine.calls.length = 0;
        queen.rows.length = 0;
        queen.directory.reports.length = 0;
      }
    };
    await round(500);
    const before = heapAfterCollection();
    await round(2_000);
    const grown = heapAfterCollection() - before;
    expect(engine.connectionsMade).toBeLessThanOrEqual(16);
    expect(queen.gateway.inFlight(worker.workerId)).toBe(0);
    expect(queen.gateway.activeCount()).toBe(0);
    expect(worker.lost.aborted).toBe(false);
    // A leak of only 3 kB a request would be more.
    expect(grown).toBeLessThan(6_000_000);
    queen.directory.lose("chat", worker);
    await eventually(() => engine.sockets.size === 0, "the lost worker's connections are closed");
    agent.destroy();
  });
});

it("has requests that are over collected while they are young, also when an older one has just ended", async () => {
  const stream = streams(token("a"), DONE);
  const old: ServerResponse[] = [];
  await using engine = await TestEngine.start((call) => {
    if (!call.body.includes('"old":true')) return stream(call);
    beginEvents(call.response);
    call.response.write(token("old"));
    old.push(call.response);
  });
  await using queen = await GatewayHarness.start();
  queen.directory.add("chat", { url: engine.url, slots: 64 });
  const agent = new Agent({ keepAlive: true, maxSockets: 32 });
  const round = async (count: number): Promise<void> => {
    for (let done = 0; done < count; done += 32) {
      await Promise.all(Array.from({ length: 32 }, async () => (await queen.chat({ stream: true }, { agent })).text()));
      engine.calls.length = 0;
      queen.rows.length = 0;
      queen.directory.reports.length = 0;
    }
  };
  const answer = await queen.chat({ stream: true, old: true });
  await answer.until("old");
  await round(1_500);
  heapAfterCollection();
  const before = oldGenerationBytes();
  const others = round(1_500);
  // While others are there, so that it has had neighbours that are younger.
  await eventually(() => queen.gateway.activeCount() > 10, "others are there");
  for (const response of old) response.end(DONE);
  await Promise.all([answer.text(), others]);
  const left = (oldGenerationBytes() - before) / 1_500;
  agent.destroy();
  // A request is some 14 kB in all.
  expect(left).toBeLessThan(2_500);
});

describe("the official openai client", () => {
  it("streams a chat, and sees a failure before the stream as a typed status", async () => {
    await using engine = await TestEngine.start(streams(token("a "), token("hive"), DONE));
    await using queen = await GatewayHarness.start();
    queen.directory.add("chat", { url: engine.url });
    const client = new OpenAI({ baseURL: `${queen.server.url}/v1`, apiKey: "owner", maxRetries: 0 });
    const messages = [{ role: "user" as const, content: "What is a hive?" }];
    let said = "";
    for await (const chunk of await client.chat.completions.create({ model: "gpt-4o", messages, stream: true })) {
      said += chunk.choices[0]?.delta.content ?? "";
    }
    expect(said).toBe("a hive");
    await expect(client.chat.completions.create({ model: "nobody", messages })).rejects.toBeInstanceOf(OpenAI.NotFoundError);
    engine.behaviour = streams(token("a"));
    const cut = await client.chat.completions.create({ model: "chat", messages, stream: true });
    await expect(
      (async () => {
        for await (const _ of cut);
      })(),
    ).rejects.toBeInstanceOf(OpenAI.APIError);
  });
});
