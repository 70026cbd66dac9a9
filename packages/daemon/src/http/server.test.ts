import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { type IncomingHttpHeaders, request } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { defineEndpoints, QhError } from "@queen-and-hive/protocol";
import { afterEach, describe, expect, it } from "vitest";
import { Deadline } from "../deadline.ts";
import { type Log, silentLog } from "../log.ts";
import { createMetrics } from "../metrics.ts";
import { HANDLED, type Handlers } from "./handler.ts";
import { type HttpServerOptions, type RunningServer, startHttpServer } from "./server.ts";
import { openSse } from "./sse.ts";

const thing = {
  type: "object",
  properties: { name: { type: "string" }, size: { type: "integer" } },
  required: ["name"],
  additionalProperties: false,
} as const;
const common = { caller: "anyone", summary: "", form: "json", status: 200, errors: [] } as const;
const TABLE = defineEndpoints({
  getThing: { ...common, method: "GET", path: "/v1/things/:name", response: thing, unknownFields: "peer" },
  postThing: {
    ...common,
    method: "POST",
    path: "/v1/things",
    request: thing,
    response: thing,
    status: 202,
    unknownFields: "peer",
  },
  postOurs: { ...common, method: "POST", path: "/v1/ours", request: thing, response: thing, unknownFields: "person" },
  postReady: { ...common, method: "POST", path: "/v1/things/ready", response: thing, unknownFields: "peer" },
  getSecret: { ...common, method: "GET", path: "/v1/secret", caller: "operator", response: thing, unknownFields: "peer" },
  getText: {
    ...common,
    method: "GET",
    path: "/text",
    form: "text",
    query: { type: "object", properties: { tail: { type: "string", pattern: "^[0-9]+$" } }, additionalProperties: false },
    unknownFields: "person",
  },
  getEvents: { ...common, method: "GET", path: "/events", form: "sse", unknownFields: "peer" },
});
type TableHandlers = Handlers<typeof TABLE, string>;

const handlers: TableHandlers = {
  getThing: async ({ params }) => {
    if (params.name === "bug") throw new Error("the password is 1234");
    if (params.name === "busy") throw new QhError("queue_full", "cannot queue more", { retryAfterS: 1.5 });
    return { body: { name: params.name } };
  },
  postThing: async ({ body }) => ({ body }),
  postOurs: async ({ body }) => ({ status: 201, body, headers: { "x-extra": "1" } }),
  postReady: async () => ({ body: { name: "ready" } }),
  getSecret: async ({ identity }) => ({ body: { name: identity } }),
  getText: async ({ query }) => ({ body: `tail ${query.tail ?? "all"}` }),
  getEvents: async ({ response }) => {
    openSse(response).send({ data: { n: 1 } });
    throw new QhError("engine_failed", "cannot go on");
  },
};

const opened: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

type Options = HttpServerOptions<typeof TABLE, string>;

async function start(options: Partial<Options> = {}): Promise<RunningServer> {
  const server = await startHttpServer({
    table: TABLE,
    handlers,
    listen: { host: "127.0.0.1", port: 0 },
    authorize: (caller, { token }) => {
      if (caller === "anyone") return "anyone";
      if (token === "weak") throw new QhError("forbidden", "cannot let the role read do this");
      return token === "right" ? "operator" : null;
    },
    log: silentLog,
    limits: { bodyBytes: 1_000, headersBytes: 4_096, requestTimeoutMs: 60_000 },
    ...options,
  });
  opened.push(server);
  return server;
}

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly json: unknown;
}

async function ask(server: RunningServer, path: string, init: RequestInit = {}): Promise<Answer> {
  const answer = await fetch(server.url + path, { ...init, headers: { connection: "close", ...init.headers } });
  const text = await answer.text();
  return { status: answer.status, headers: answer.headers, json: text === "" ? null : JSON.parse(text) };
}

const post = (body: string, type = "application/json"): RequestInit => ({
  method: "POST",
  body,
  headers: { "content-type": type },
});

/** fetch forbids some headers; this sends any. */
async function askRaw(server: RunningServer, path: string, headers: IncomingHttpHeaders): Promise<readonly [number, unknown]> {
  const sent = request(server.url + path, { headers, agent: false }).end();
  const [answer] = await once(sent, "response");
  const text = (await answer.setEncoding("utf8").toArray()).join("");
  return [answer.statusCode, JSON.parse(text)];
}

/** Everything that the server writes on one connection until it ends it. */
async function conversation(port: number | null, text: string): Promise<string> {
  const socket = connect(port ?? 0, "127.0.0.1");
  socket.write(text);
  let heard = "";
  socket.setEncoding("utf8").on("data", (chunk: string) => {
    heard += chunk;
  });
  await once(socket, "close");
  return heard;
}

/** What a killed server leaves behind. */
async function leaveStaleSocket(path: string): Promise<void> {
  const code = `require("net").createServer().listen(process.argv[1], () => process.kill(process.pid, "SIGKILL"))`;
  await once(spawn(process.execPath, ["-e", code, path]), "exit");
  expect(existsSync(path)).toBe(true);
}

const errorWith = (code: string, extra: object = {}) => ({
  error: expect.objectContaining({ code, request_id: expect.any(String), ...extra }),
});

describe("a route", () => {
  it("answers with its handler's body and its row's status or the handler's", async () => {
    const server = await start();
    expect(await ask(server, "/v1/things/a%2Fb")).toMatchObject({ status: 200, json: { name: "a/b" } });
    expect(await ask(server, "/v1/things", post('{"name":"x","size":1}'))).toMatchObject({
      status: 202,
      json: { name: "x", size: 1 },
    });
    const ours = await ask(server, "/v1/ours", post('{"name":"x"}'));
    expect([ours.status, ours.headers.get("x-extra")]).toEqual([201, "1"]);
    expect(await (await fetch(`${server.url}/text?tail=5`)).text()).toBe("tail 5");
  });

  it("with fixed words goes before one with parameters", async () => {
    expect(await ask(await start(), "/v1/things/ready", { method: "POST" })).toMatchObject({
      status: 200,
      json: { name: "ready" },
    });
  });

  it("that does not exist is a 404 naming method and path; a wrong method a 405 naming the right ones", async () => {
    const server = await start();
    expect(await ask(server, "/v1/nothing")).toMatchObject({
      status: 404,
      json: errorWith("route_not_found", { message: "cannot GET /v1/nothing: there is no such route" }),
    });
    const wrong = await ask(server, "/v1/things/ready", { method: "DELETE" });
    expect(wrong).toMatchObject({ status: 405, json: errorWith("method_not_allowed") });
    expect(wrong.headers.get("allow")).toBe("POST, GET");
    expect(await ask(server, "/v1/things/%zz")).toMatchObject({ status: 404, json: errorWith("route_not_found") });
  });
});

describe("a body", () => {
  it.each([
    ["that is not JSON", post("{"), 400, "malformed_json"],
    ["that is empty", post(""), 400, "malformed_json"],
    ["of another type", post("{}", "text/plain"), 415, "unsupported_media_type"],
    ["without a type", { method: "POST", body: Buffer.from("{}") }, 415, "unsupported_media_type"],
    ["that lacks a field", post("{}"), 400, "invalid_body"],
    ["larger than the limit", post(JSON.stringify({ name: "x".repeat(2_000) })), 413, "body_too_large"],
  ])("%s is refused", async (_what, init, status, code) => {
    expect(await ask(await start(), "/v1/things", init)).toMatchObject({ status, json: errorWith(code) });
  });

  it("that is not UTF-8 or is compressed is refused", async () => {
    const server = await start();
    const type = { "content-type": "application/json" };
    expect(
      await ask(server, "/v1/things", { method: "POST", body: Buffer.from([0x22, 0xff, 0x22]), headers: type }),
    ).toMatchObject({ status: 400, json: errorWith("malformed_json") });
    expect(await ask(server, "/v1/things", { ...post("{}"), headers: { ...type, "content-encoding": "gzip" } })).toMatchObject({
      status: 415,
    });
  });

  it("larger than the limit gets its answer also when it is sent in pieces and the client never stops to listen", async () => {
    const server = await start();
    const socket = connect(server.port ?? 0, "127.0.0.1");
    socket.write("POST /v1/things HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n");
    for (let piece = 0; piece < 200; piece += 1) socket.write(`1000\r\n${"x".repeat(4_096)}\r\n`);
    socket.write("0\r\n\r\n");
    const [heard] = await once(socket.setEncoding("utf8"), "data");
    expect(heard).toMatch(/^HTTP\/1.1 413 /);
    // The connection is still good: what was sent too much has been thrown away.
    socket.write("GET /v1/things/a HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    const [next] = await once(socket, "data");
    expect(next).toMatch(/^HTTP\/1.1 200 /);
  });

  it("of a peer may have fields from the future, which are counted; of a person it may not", async () => {
    const counted: unknown[] = [];
    const server = await start({ onUnknownFields: (...args) => counted.push(args) });
    const body = post('{"name":"x","from_the_future":1,"__proto__":{"polluted":1}}');
    expect(await ask(server, "/v1/things", body)).toMatchObject({ status: 202, json: { name: "x" } });
    expect(await ask(server, "/v1/ours", body)).toMatchObject({ status: 400, json: errorWith("invalid_body") });
    expect(counted).toEqual([["postThing", 2]]);
  });

  it("is not read from who is not let in", async () => {
    const table = defineEndpoints({ postThing: { ...TABLE.postThing, caller: "operator" } });
    const server = await startHttpServer({
      table,
      handlers: { postThing: async ({ body }) => ({ body }) },
      listen: { host: "127.0.0.1", port: 0 },
      authorize: () => null,
      log: silentLog,
      limits: { bodyBytes: 1_000, headersBytes: 4_096, requestTimeoutMs: 60_000 },
    });
    opened.push(server);
    expect(await ask(server, "/v1/things", post("{"))).toMatchObject({ status: 401 });
  });
});

describe("a query", () => {
  it("is checked", async () => {
    const server = await start();
    for (const query of ["tail=x", "tail=1&tail=2", "other=1"]) {
      expect(await ask(server, `/text?${query}`)).toMatchObject({ status: 400, json: errorWith("invalid_query") });
    }
  });
});

describe("a caller", () => {
  it("is let in by its token, else told what is missing", async () => {
    const server = await start();
    const withToken = (token: string) => ask(server, "/v1/secret", { headers: { authorization: `Bearer ${token}` } });
    expect(await withToken("right")).toMatchObject({ status: 200, json: { name: "operator" } });
    expect(await withToken("wrong")).toMatchObject({ status: 401, json: errorWith("unauthenticated") });
    expect(await withToken("weak")).toMatchObject({ status: 403, json: errorWith("forbidden") });
    expect(await ask(server, "/v1/secret")).toMatchObject({ status: 401 });
  });
});

describe("an error", () => {
  it("that is a bug of ours is a 500 that says nothing, while the log says all", async () => {
    const lines: object[] = [];
    const log: Log = { ...silentLog, error: (_message, fields) => void lines.push(fields ?? {}) };
    const answer = await ask(await start({ log }), "/v1/things/bug", { headers: { "x-request-id": "mine" } });
    expect(answer).toMatchObject({ status: 500, json: errorWith("internal", { request_id: "mine" }) });
    expect(JSON.stringify(answer.json)).not.toContain("1234");
    expect(lines).toMatchObject([{ request_id: "mine", error: { cause: { message: "the password is 1234" } } }]);
  });

  it("says whether and when to try again", async () => {
    const server = await start();
    const busy = await ask(server, "/v1/things/busy");
    expect([
      busy.status,
      busy.headers.get("retry-after"),
      busy.headers.get("retry-after-ms"),
      busy.headers.get("x-should-retry"),
    ]).toEqual([429, "2", "1500", null]);
    expect((await ask(server, "/v1/nothing")).headers.get("x-should-retry")).toBe("false");
  });

  it("in an event stream is an event", async () => {
    const answer = await fetch(`${(await start()).url}/events`);
    expect(answer.headers.get("content-type")).toMatch(/^text\/event-stream/);
    expect(await answer.text()).toMatch(/^data: {"n":1}\n\nevent: error\ndata: {"error":{.*"code":"engine_failed"/);
  });

  it("of what Node would answer by itself has our shape too", async () => {
    const server = await start();
    const get = (path: string, headers: string): string => `GET ${path} HTTP/1.1\r\n${headers}connection: close\r\n\r\n`;
    expect(await conversation(server.port, get("/text", ""))).toMatch(
      /^HTTP\/1.1 400 [\s\S]*x-should-retry: false[\s\S]*"code":"invalid_header","param":"host"/,
    );
    expect(await conversation(server.port, "GET /text HTTP/1.0\r\n\r\n")).toMatch(/^HTTP\/1.1 200 /);
    expect(await conversation(server.port, get("/text", "host: x\r\nx-request-id: mine\r\nexpect: miracles\r\n"))).toMatch(
      /^HTTP\/1.1 417 [\s\S]*x-request-id: mine[\s\S]*"code":"expectation_failed"[\s\S]*"request_id":"mine"/,
    );
    expect(await conversation(server.port, "CONNECT example.org:443 HTTP/1.1\r\nhost: example.org:443\r\n\r\n")).toMatch(
      /^HTTP\/1.1 405 [\s\S]*"code":"method_not_allowed"/,
    );
  });

  it("of the parser is not taken for the answer of a request before it, which gets its own", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    const server = await start({
      handlers: {
        ...handlers,
        getText: async () => {
          asked.resolve();
          await promise;
          return { body: "patience" };
        },
      },
    });
    const socket = connect(server.port ?? 0, "127.0.0.1").setEncoding("utf8");
    let heard = "";
    socket.on("data", (chunk: string) => {
      heard += chunk;
    });
    const refused = Promise.withResolvers<void>();
    server.server.on("clientError", () => refused.resolve());
    socket.write("GET /text HTTP/1.1\r\nhost: x\r\n\r\n");
    await asked.promise;
    socket.write("nonsense\r\n\r\n");
    await refused.promise;
    socket.write("more of it\r\n\r\n");
    resolve();
    await once(socket, "close");
    expect(heard).toMatch(/^HTTP\/1.1 200 [\s\S]*connection: close[\s\S]*\r\n\r\npatience$/i);
    expect(heard.match(/HTTP\/1\.1 /g)).toHaveLength(1);
  });

  it("of the parser inside of a body is the answer of that request", async () => {
    const server = await start();
    const head = "POST /v1/things HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    expect(await conversation(server.port, `${head}1\r\n{\r\nnonsense\r\n`)).toMatch(
      /^HTTP\/1.1 400 [\s\S]*"code":"invalid_body"/,
    );
  });

  it("of the parser has our shape too", async () => {
    const server = await start();
    expect(await conversation(server.port, "nonsense\r\n\r\n")).toMatch(/^HTTP\/1.1 400 [\s\S]*"code":"invalid_body"/);
    expect(await conversation(server.port, `GET / HTTP/1.1\r\nhost: x\r\nx-long: ${"y".repeat(5_000)}\r\n\r\n`)).toMatch(
      /^HTTP\/1.1 431 [\s\S]*"code":"headers_too_large"/,
    );
  });
});

describe("a request id", () => {
  it("is echoed when it is sound, and made otherwise, on every answer", async () => {
    const server = await start();
    for (const path of ["/v1/things/a", "/v1/nothing", "/v1/things/bug"]) {
      expect((await ask(server, path, { headers: { "x-request-id": "mine-1" } })).headers.get("x-request-id")).toBe("mine-1");
      expect((await ask(server, path, { headers: { "x-request-id": "a b" } })).headers.get("x-request-id")).toMatch(/^req-/);
      expect((await ask(server, path)).headers.get("x-request-id")).toMatch(/^req-/);
    }
  });
});

describe("a server for this machine only", () => {
  it.each([
    ["its own name", { host: "localhost:8080" }, 200],
    ["its own address and page", { host: "127.0.0.1:1", origin: "http://localhost:3000", "sec-fetch-site": "same-origin" }, 200],
    ["IPv6", { host: "[::1]:8080" }, 200],
    ["a name that points here (DNS rebinding)", { host: "evil.example" }, 403],
    ["a name that only begins like ours", { host: "127.0.0.1.evil.example" }, 403],
    ["a page of elsewhere", { host: "localhost", origin: "https://evil.example" }, 403],
    ["a page without origin", { host: "localhost", origin: "null" }, 403],
    ["another site, as the browser says", { host: "localhost", "sec-fetch-site": "cross-site" }, 403],
  ])("asked by %s", async (_who, headers, status) => {
    const server = await start({ loopbackOnly: true });
    const [got, body] = await askRaw(server, "/v1/things/a", headers);
    expect(got).toBe(status);
    if (status === 403) expect(body).toMatchObject(errorWith("cross_site_request"));
  });

  it("guards what stands ahead of the routes as well", async () => {
    let asked = 0;
    const server = await start({
      loopbackOnly: true,
      before: (_request, response) => {
        asked += 1;
        response.end("{}");
        return true;
      },
    });
    expect((await askRaw(server, "/x", { host: "evil.example" }))[0]).toBe(403);
    expect([(await askRaw(server, "/x", { host: "localhost" }))[0], asked]).toEqual([200, 1]);
  });
});

describe("listening", () => {
  it("on a port that is taken names the owner", async () => {
    const first = await start();
    await expect(start({ listen: { host: "127.0.0.1", port: first.port ?? 0 } })).rejects.toMatchObject({
      kind: "port_in_use",
      message: expect.stringContaining(`it is in use by process ${process.pid} (`),
    });
  });

  it("on an address that is not ours is a mistake in the configuration", async () => {
    await expect(start({ listen: { host: "192.0.2.1", port: 0 } })).rejects.toMatchObject({
      kind: "invalid_config",
      message: expect.stringMatching(/^cannot listen on 192\.0\.2\.1:0: this machine has no such address/),
    });
  });

  it("on a Unix socket is for its owner only, replaces a stale file and leaves none", async () => {
    const dir = mkdtempSync(join(tmpdir(), "qh-http-"));
    const path = join(dir, "queen.sock");
    await leaveStaleSocket(path);
    const server = await start({ listen: { path }, loopbackOnly: true });
    expect([server.url, server.port, statSync(path).mode & 0o777]).toEqual([`unix:${path}`, null, 0o600]);
    await expect(start({ listen: { path } })).rejects.toMatchObject({ kind: "port_in_use" });
    await server.close();
    expect(existsSync(path)).toBe(false);
    writeFileSync(path, "not a socket");
    await expect(start({ listen: { path } })).rejects.toMatchObject({ kind: "port_in_use" });
    rmSync(dir, { recursive: true });
  });

  it("takes only so many connections of one address", async () => {
    const server = await start({
      limits: { bodyBytes: 1_000, headersBytes: 4_096, requestTimeoutMs: 60_000, connectionsPerIp: 1 },
    });
    const first = connect(server.port ?? 0, "127.0.0.1");
    await once(first, "connect");
    expect(await conversation(server.port, "")).toMatch(/^HTTP\/1.1 429 [\s\S]*"code":"queue_full"/);
    first.destroy();
  });
});

it("counts answers by endpoint and status", async () => {
  const metrics = createMetrics();
  const server = await start({ metrics });
  await ask(server, "/v1/things/busy");
  await server.close();
  expect(await metrics.render()).toContain('http_request_duration_seconds_count{endpoint="getThing",status="429"} 1');
});

describe("closing", () => {
  it("lets a request in flight end, refuses new ones, and ends idle connections", async () => {
    const { promise: entered, resolve: enter } = Promise.withResolvers<void>();
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    const server = await start({
      handlers: {
        ...handlers,
        getThing: async ({ closing }) => {
          enter();
          await gate;
          return { body: { name: closing.aborted ? "closing" : "open" } };
        },
      },
    });
    const idle = connect(server.port ?? 0, "127.0.0.1");
    await once(idle, "connect");
    const idleEnded = once(idle, "close");
    const inFlight = fetch(`${server.url}/v1/things/a`);
    await entered;
    const closing = server.close(Deadline.in(20_000));
    await idleEnded;
    await expect(fetch(`${server.url}/v1/things/b`)).rejects.toThrow();
    open();
    const answer = await inFlight;
    expect([answer.status, await answer.json(), answer.headers.get("connection")]).toEqual([200, { name: "closing" }, "close"]);
    await closing;
    await server.close();
  });

  it("cuts what is still in flight at the deadline, and tells its handler", async () => {
    const { promise: entered, resolve: enter } = Promise.withResolvers<AbortSignal>();
    const server = await start({
      handlers: {
        ...handlers,
        getThing: async ({ signal }) => {
          enter(signal);
          await once(signal, "abort");
          throw signal.reason;
        },
      },
    });
    const inFlight = fetch(`${server.url}/v1/things/a`).catch((error: unknown) => error);
    const signal = await entered;
    await server.close(Deadline.in(20));
    expect(await inFlight).toBeInstanceOf(Error);
    if (!signal.aborted) await once(signal, "abort");
    expect(signal.reason).toMatchObject({ kind: "client_closed" });
  });
});

it("tells a handler when its client leaves", async () => {
  const { promise: entered, resolve: enter } = Promise.withResolvers<AbortSignal>();
  const server = await start({
    handlers: {
      ...handlers,
      getEvents: async ({ response, signal }) => {
        openSse(response);
        enter(signal);
        await once(signal, "abort");
        return HANDLED;
      },
    },
  });
  const leaving = new AbortController();
  const asked = fetch(`${server.url}/events`, { signal: leaving.signal }).then((answer) => answer.text());
  const signal = await entered;
  leaving.abort();
  await expect(asked).rejects.toThrow();
  if (!signal.aborted) await once(signal, "abort");
  expect(signal.reason).toMatchObject({ kind: "client_closed" });
});
