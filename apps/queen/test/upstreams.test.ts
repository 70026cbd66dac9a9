import { writeFileSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import {
  fakeModel,
  fakeRuntime,
  RawEngine,
  STREAM_HEAD,
  startFakeWorker,
  startTestQueen,
  type TestQueen,
  temporaryDirectory,
  until,
} from "@queen-and-hive/dev-env";
import { QUEEN_ENDPOINTS, type QueenConfigInput } from "@queen-and-hive/protocol";
import { describe, expect, it } from "vitest";
import { DONE, token } from "./gateway-engine.ts";
import { selfSigned } from "./self-signed.ts";

type Upstreams = NonNullable<QueenConfigInput["upstreams"]>;

const KEY = "a-key-that-nobody-may-see";
/** Checks often enough for a test. */
const HEALTH = { interval: "300ms", retry: "100ms", timeout: "5s", failures: 2 };

function chat(queen: TestQueen, model: string, more: object = {}): Promise<Response> {
  const body = JSON.stringify({ model, messages: [{ role: "user", content: "hello" }], ...more });
  return fetch(`${queen.url}/v1/chat/completions`, { method: "POST", headers: { "content-type": "application/json" }, body });
}

async function modelOf(queen: TestQueen, id: string) {
  const { data } = await queen.peer.call(QUEEN_ENDPOINTS.listModels);
  return data.find((model) => model.id === id);
}

/** A queen with no hive at all, in front of what is there. */
const inFrontOf = (upstreams: Upstreams, more: QueenConfigInput = {}) =>
  startTestQueen({ hives: [], config: { upstreams, health: HEALTH, ...more } });

describe("an upstream", () => {
  it("serves under our name what it knows by another, with its own key, and is listed like any model", async () => {
    await using engine = await startFakeWorker(["--model", "qwen3:8b"], { worker: { workerKey: KEY } });
    await using queen = await inFrontOf([{ id: "mac", url: `${engine.url}/v1`, key: KEY, models: { small: "qwen3:8b" } }]);
    const answer = await chat(queen, "small", { unheard_of: 1 });
    expect([answer.status, await answer.json()]).toMatchObject([200, { model: "qwen3:8b" }]);
    const stats = await engine.stats();
    expect(stats.last[0]?.body).toMatchObject({ model: "qwen3:8b", unheard_of: 1 });
    expect(await modelOf(queen, "small")).toMatchObject({ status: "loaded", context_length: 4_096, where: ["upstream:mac"] });
    expect((await fetch(`${queen.url}/readyz`)).status).toBe(200);
    expect((await queen.command(["status"])).stdout).toContain(": ok; workers: none; upstreams: 1 up");
    expect(await queen.command(["config", "show", "--origin"])).toMatchObject({ stdout: expect.not.stringContaining(KEY) });
    expect((await queen.command(["events", "--json"])).stdout).not.toContain(KEY);
    expect(queen.program.output()).not.toContain(KEY);
    expect(await (await fetch(`${queen.url}/metrics`)).text()).toContain('queen_upstream_connections{hive="upstream:mac"} 1');
  });

  it("whose key is refused says so to operators and is no 401 for the client", async () => {
    await using engine = await startFakeWorker([], { worker: { workerKey: KEY } });
    await using queen = await inFrontOf([{ id: "mac", url: engine.url, key: "wrong-key", models: { small: "fake" } }]);
    const answer = await chat(queen, "small");
    expect([answer.status, await answer.json()]).toMatchObject([502, { error: { code: "engine_failed" } }]);
  });

  it("that dies is noticed by traffic and checks, and used again when it is back", async () => {
    const first = await startFakeWorker();
    const { port } = first;
    await using queen = await inFrontOf([
      { id: "mac", url: `${first.url}/v1`, models: { small: "fake" }, presence: "best_effort" },
    ]);
    expect((await chat(queen, "small")).status).toBe(200);
    await first[Symbol.asyncDispose]();
    expect([502, 503]).toContain((await chat(queen, "small")).status);
    await until(async () => (await modelOf(queen, "small"))?.status === "failed", 20_000, "the upstream is down");
    const refused = await chat(queen, "small");
    expect(refused.headers.get("retry-after")).toBe("1");
    expect([refused.status, await refused.json()]).toMatchObject([
      503,
      { error: { code: "model_unavailable", details: { cause: "upstream_unreachable" } } },
    ]);
    expect(await (await fetch(`${queen.url}/metrics`)).text()).toContain('queen_upstream_up{upstream="mac"} 0');
    await using _second = await startFakeWorker([], { port });
    await until(async () => (await modelOf(queen, "small"))?.status === "loaded", 20_000, "the upstream is up");
    expect((await chat(queen, "small")).status).toBe(200);
    const events = (await queen.command(["events", "--json"])).stdout
      .split("\n")
      .filter((line) => line.includes("upstream.state"));
    expect(events.map((line) => JSON.parse(line))).toMatchObject([
      { from: "up", to: "down", details: { upstream: "mac" } },
      { from: "down", to: "up", cause: "answers" },
    ]);
    // Nobody is alarmed by a host that may be off.
    expect(queen.program.output()).not.toContain('"level":"error"');
  });

  it("that is down gives its requests that have no byte yet to another, and keeps the streams that have begun", async () => {
    await using mute = await RawEngine.start();
    await using other = await startFakeWorker();
    await using queen = await inFrontOf([
      { id: "mute", url: `${mute.url}/v1`, models: { small: "fake" }, slots: 8, presence: "best_effort" },
      { id: "other", url: `${other.url}/v1`, models: { small: "fake" }, slots: 2 },
    ]);
    let finish = (): void => undefined;
    mute.behaviour = (socket) => {
      finish = () => void socket.end(DONE);
      socket.write(STREAM_HEAD + token("a"));
    };
    const begun = await chat(queen, "small", { stream: true });
    mute.behaviour = () => undefined;
    const waiting = chat(queen, "small");
    await until(() => mute.posts === 2, 20_000, "the second is at the one that never answers");
    mute.isWell = false;
    const answer = await waiting;
    expect([answer.status, answer.headers.get("x-fake-worker")]).toEqual([200, expect.any(String)]);
    expect((await modelOf(queen, "small"))?.where).toEqual(["upstream:other"]);
    finish();
    expect(await begun.text()).toBe(token("a") + DONE);
  });

  it("behind TLS is used where its certificate is good, and gets nothing where it is not", async () => {
    await using directory = await temporaryDirectory("qh-tls");
    const tls = selfSigned("localhost");
    const authority = directory.join("authority.pem");
    writeFileSync(authority, tls.cert);
    const keys: unknown[] = [];
    const server = createServer(tls, (request, response) => {
      keys.push(request.headers.authorization);
      if (request.method === "GET") response.end('{"object":"list","data":[]}');
      else response.writeHead(200, { "content-type": "text/event-stream" }).end(token("a") + DONE);
    });
    await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const upstreams: Upstreams = [
      { id: "good", url: `https://localhost:${port}/v1`, key: KEY, models: { good: "fake" } },
      { id: "other-name", url: `https://127.0.0.1:${port}/v1`, key: "other-name", models: { other: "fake" } },
    ];
    try {
      {
        await using queen = await startTestQueen({
          hives: [],
          config: { upstreams, health: HEALTH },
          env: { NODE_EXTRA_CA_CERTS: authority },
        });
        const answer = await chat(queen, "good", { stream: true });
        expect([answer.status, await answer.text()]).toEqual([200, token("a") + DONE]);
        await until(async () => (await modelOf(queen, "other"))?.status === "failed", 20_000, "the other name is refused");
        expect(queen.program.output()).toContain("err_tls_cert_altname_invalid");
        expect(new Set(keys)).toEqual(new Set([`Bearer ${KEY}`]));
      }
      keys.length = 0;
      await using stranger = await inFrontOf(upstreams);
      expect([502, 503]).toContain((await chat(stranger, "good")).status);
      await until(async () => (await modelOf(stranger, "good"))?.status === "failed", 20_000, "its certificate is refused");
      expect(stranger.program.output()).toContain("depth_zero_self_signed_cert");
      expect(keys).toEqual([]);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  it("as overflow answers while our own worker loads or is busy, and only then", async () => {
    await using cloud = await startFakeWorker(["--model", "big"], { worker: { workerId: "cloud" } });
    await using queen = await startTestQueen({
      config: {
        upstreams: [{ id: "cloud", url: `${cloud.url}/v1`, models: { chat: "big" }, use: "overflow" }],
        runtimes: { slow: fakeRuntime(["--load-ms", "500", "--token-rate", "20", "--tokens", "1000"]) },
        models: [fakeModel("chat", "slow", { slots: 1 })],
        health: { ...HEALTH, interval: "30s" },
      },
    });
    await queen.hivesRunning();
    const who = async (answer: Promise<Response>) => (await answer).headers.get("x-fake-worker");
    expect(await who(chat(queen, "chat"))).toBe("cloud");
    // What spilled over was a wish for a worker of our own.
    await until(async () => (await modelOf(queen, "chat"))?.where?.includes("local") === true, 20_000, "our own is loaded");
    const busy = await chat(queen, "chat", { stream: true });
    expect(busy.headers.get("x-fake-worker")).toMatch(/^worker-/);
    expect(await who(chat(queen, "chat", { max_tokens: 1 }))).toBe("cloud");
    await busy.body?.cancel();
    await until(
      async () => (await who(chat(queen, "chat", { max_tokens: 1 })))?.startsWith("worker-") === true,
      20_000,
      "it is free",
    );
    expect((await cloud.stats()).started).toBeGreaterThanOrEqual(2);
  });
});

describe("an engine that fails fast", () => {
  it("attracts no requests, and no client notices it", async () => {
    await using bad = await RawEngine.start();
    await using good = await startFakeWorker(["--token-rate", "200"]);
    await using queen = await inFrontOf(
      [
        { id: "bad", url: `${bad.url}/v1`, models: { small: "fake" } },
        { id: "good", url: `${good.url}/v1`, models: { small: "fake" }, slots: 8 },
      ],
      { health: { ...HEALTH, interval: "1h", failures: 3 } },
    );
    const client = async (): Promise<number[]> => {
      const statuses: number[] = [];
      for (let sent = 0; sent < 15; sent += 1) statuses.push((await chat(queen, "small")).status);
      return statuses;
    };
    const statuses = (await Promise.all(Array.from({ length: 8 }, client))).flat();
    expect(new Set(statuses)).toEqual(new Set([200]));
    expect((await good.stats()).finished).toBe(120);
    // Its share would be the largest of all: it always has free slots.
    expect(bad.posts).toBeGreaterThan(0);
    expect(bad.posts).toBeLessThanOrEqual(24);
  });
});

describe("the configuration of upstreams", () => {
  it.each([
    [{ url: "http://user:pass@mac/v1" }, /upstreams\[0\]\.url: .*must not hold a password/],
    [{ url: "http://127.0.0.1:1/v1?x=1" }, /upstreams\[0\]\.url: .*must end with its path/],
    [{ url: "http://" }, /upstreams\[0\]\.url: .*must be a URL/],
    [{ models: { "gpt-4o": "x" } }, /is an alias of/],
  ])("%j is refused with its place", async (wrong, message) => {
    const upstream = { id: "mac", url: "http://127.0.0.1:1/v1", models: { small: "x" }, ...wrong };
    const models = [fakeModel("chat", "fake", { aliases: ["gpt-4o"] })];
    await using queen = await startTestQueen({ hives: [], start: false, config: { upstreams: [upstream], models } });
    const checked = await queen.command(["config", "check"]);
    expect(checked.exitCode).toBe(78);
    expect(checked.stderr).toMatch(message);
  });
});
