import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http";
import { createServer as createTcpServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { defineEndpoints, QhError } from "@queen-and-hive/protocol";
import { afterEach, describe, expect, it } from "vitest";
import { Deadline } from "../deadline.ts";
import { createPeer, type Peer, type PeerOptions } from "./client.ts";

const common = { caller: "queen", summary: "", errors: [], unknownFields: "peer", status: 200 } as const;
const thing = {
  type: "object",
  properties: {
    name: { type: "string" },
    inner: { type: "object", properties: { size: { type: "integer" } }, additionalProperties: false },
  },
  required: ["name"],
  additionalProperties: false,
} as const;
const TABLE = defineEndpoints({
  getThing: { ...common, method: "GET", path: "/things/:name", form: "json", response: thing },
  listThings: { ...common, method: "GET", path: "/things", form: "json", response: thing },
  postThing: { ...common, method: "POST", path: "/things", form: "json", request: thing, response: thing },
  getLogs: {
    ...common,
    method: "GET",
    path: "/logs",
    form: "text",
    query: { type: "object", properties: { tail: { type: "string" } }, additionalProperties: false },
  },
  getEvents: { ...common, method: "GET", path: "/events", form: "sse" },
});

const opened: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

async function serve(listener: RequestListener): Promise<{ readonly url: string; readonly server: Server }> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  opened.push({
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      if (server.listening) await once(server.close(), "close");
    },
  });
  const address = server.address();
  return { url: `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`, server };
}

function peerOf(url: string, options: Partial<PeerOptions> = {}): Peer {
  const peer = createPeer({ url, name: "hive gpu1", timeoutMs: 5_000, maxSockets: 4, ...options });
  opened.push(peer);
  return peer;
}

const answer = (response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void =>
  void response
    .writeHead(status, { "content-type": "application/json", ...headers })
    .end(typeof body === "string" ? body : JSON.stringify(body));

async function textOf(request: IncomingMessage): Promise<string> {
  return (await request.setEncoding("utf8").toArray()).join("");
}

describe("a call", () => {
  it("sends path, query, body, token, request id and headers, and returns the checked answer", async () => {
    const seen: unknown[] = [];
    const { url } = await serve(async (request, response) => {
      const { authorization, "x-request-id": id, "x-extra": extra, "content-type": type } = request.headers;
      seen.push([request.method, request.url, authorization, id, extra, type, await textOf(request)]);
      answer(response, 200, { name: "x" });
    });
    let token = "first";
    const peer = peerOf(url, { token: () => token });
    const body = { name: "ü", inner: { size: 1 } };
    expect(await peer.call(TABLE.postThing, { body, requestId: "r-1", headers: { "x-extra": "e" } })).toEqual({ name: "x" });
    token = "second";
    await peer.call(TABLE.getThing, { params: { name: "a/b" } });
    await expect(peer.call(TABLE.getThing, { params: { name: ".." } })).rejects.toMatchObject({ kind: "invalid_query" });
    await peer.call(TABLE.getLogs, { query: { tail: "5" } });
    expect(seen).toEqual([
      ["POST", "/things", "Bearer first", "r-1", "e", "application/json", JSON.stringify(body)],
      ["GET", "/things/a%2Fb", "Bearer second", undefined, undefined, undefined, ""],
      ["GET", "/logs?tail=5", "Bearer second", undefined, undefined, undefined, ""],
    ]);
  });

  it("goes over a Unix socket and ignores what the environment says about proxies", async () => {
    const dir = mkdtempSync(join(tmpdir(), "qh-client-"));
    const path = join(dir, "hive.sock");
    const server = createServer((_request, response) => answer(response, 200, { name: "unix" })).listen(path);
    await once(server, "listening");
    const before = process.env["http_proxy"];
    process.env["http_proxy"] = "http://127.0.0.1:1";
    try {
      expect(await peerOf(`unix:${path}`).call(TABLE.listThings)).toEqual({ name: "unix" });
      const { url } = await serve((_request, response) => answer(response, 200, { name: "tcp" }));
      expect(await peerOf(url).call(TABLE.listThings)).toEqual({ name: "tcp" });
    } finally {
      if (before === undefined) delete process.env["http_proxy"];
      else process.env["http_proxy"] = before;
      server.closeAllConnections();
      server.close();
      rmSync(dir, { recursive: true });
    }
  });

  it("ignores and counts the fields of a newer peer", async () => {
    const counted: unknown[] = [];
    const { url } = await serve((_request, response) => answer(response, 200, { name: "x", inner: { size: 1, y: 2 }, z: 3 }));
    const peer = peerOf(url, { onUnknownFields: (...args) => counted.push(args) });
    expect(await peer.call(TABLE.listThings)).toEqual({ name: "x", inner: { size: 1 } });
    expect(counted).toEqual([["/things", 2]]);
  });

  it("reuses its connections, at most so many at a time, and keeps none once it is disposed", async () => {
    const sockets = new Set<Socket>();
    const { url, server } = await serve((_request, response) => void setImmediate(() => answer(response, 200, { name: "x" })));
    server.on("connection", (socket) => sockets.add(socket));
    const peer = peerOf(url, { maxSockets: 2 });
    await Promise.all(Array.from({ length: 10 }, () => peer.call(TABLE.listThings)));
    await peer.call(TABLE.listThings);
    expect(sockets.size).toBeLessThanOrEqual(2);
    const closed = [...sockets].map((socket) => once(socket, "close"));
    await peer[Symbol.asyncDispose]();
    await Promise.all(closed);
    await expect(peer.call(TABLE.listThings)).rejects.toMatchObject({ kind: "peer_unreachable" });
  });
});

describe("a failure", () => {
  const failureOf = async (status: number, body: unknown, headers: Record<string, string> = {}): Promise<unknown> => {
    const { url } = await serve((_request, response) => answer(response, status, body, headers));
    return peerOf(url)
      .call(TABLE.listThings)
      .catch((error: unknown) => error);
  };

  it("that the peer tells of keeps its kind, message, param, details and time to wait", async () => {
    const body = {
      error: { message: "cannot take it", type: "x", code: "spec_conflict", param: "/spec", details: { a: 1 }, request_id: "r" },
    };
    const failure = await failureOf(409, body, { "retry-after": "3" });
    expect(failure).toBeInstanceOf(QhError);
    expect(failure).toMatchObject({
      kind: "spec_conflict",
      message: "cannot take it",
      param: "/spec",
      retryAfterS: 3,
      details: { a: 1, status: 409, peer: "hive gpu1" },
    });
  });

  it.each([
    ["an unknown kind", 418, { error: { message: "teapot", code: "teapot" } }, 418],
    ["an error page", 502, "<html>Bad gateway</html>", 502],
    ["a redirect", 302, "", 302],
    ["a success that is not JSON", 200, "<html>", 200],
  ])("that is %s is nonsense with its status", async (_what, status, body, expected) => {
    expect(await failureOf(status, body, { location: "http://127.0.0.1:1/" })).toMatchObject({
      kind: "peer_nonsense",
      details: { status: expected },
    });
  });

  it("to answer in the agreed shape is nonsense that says what is wrong", async () => {
    expect(await failureOf(200, { nam: "x" })).toMatchObject({
      kind: "peer_nonsense",
      message: expect.stringContaining("hive gpu1"),
    });
    expect(await failureOf(200, { nam: "x" })).toMatchObject({ message: expect.stringContaining('must have the field "name"') });
  });

  it("to connect names method, url and the system's code", async () => {
    const server = createTcpServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    const url = `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`;
    await once(server.close(), "close");
    await expect(peerOf(url).call(TABLE.listThings)).rejects.toMatchObject({
      kind: "peer_unreachable",
      message: `cannot reach hive gpu1 (GET ${url}/things): ECONNREFUSED`,
      details: { code: "ECONNREFUSED" },
    });
  });

  it("of a peer that hangs up in the middle is unreachable", async () => {
    const { url } = await serve((_request, response) => {
      response.writeHead(200, { "content-length": 100 });
      response.write("{", () => response.destroy());
    });
    await expect(peerOf(url).call(TABLE.listThings)).rejects.toMatchObject({ kind: "peer_unreachable" });
  });

  it("of a peer that sends too much is not read to the end", async () => {
    const { url } = await serve((_request, response) => answer(response, 200, { name: "x".repeat(10_000) }));
    await expect(peerOf(url, { answerBytesMax: 1_000 }).call(TABLE.listThings)).rejects.toMatchObject({
      kind: "peer_unreachable",
    });
  });
});

describe("a peer that is mute", () => {
  it("is unreachable after its own time", async () => {
    const { url } = await serve(() => undefined);
    await expect(peerOf(url, { timeoutMs: 30 }).call(TABLE.listThings)).rejects.toMatchObject({
      kind: "peer_unreachable",
      message: expect.stringContaining("no answer within 30 ms"),
      details: { code: "ETIMEDOUT" },
    });
  });

  it("is given up at the caller's deadline, when that is earlier", async () => {
    const { url } = await serve(() => undefined);
    await expect(peerOf(url).call(TABLE.listThings, { deadline: Deadline.in(30) })).rejects.toMatchObject({
      kind: "deadline_exceeded",
    });
  });

  it("is given up with the caller's own reason", async () => {
    const controller = new AbortController();
    const reason = new Error("enough");
    const { url } = await serve(() => controller.abort(reason));
    await expect(peerOf(url).call(TABLE.listThings, { signal: controller.signal })).rejects.toBe(reason);
  });
});

it("repeats an idempotent call once when a kept connection turns out to be closed", async () => {
  let connections = 0;
  let cut = false;
  const { url, server } = await serve((request, response) => {
    if (cut) {
      cut = false;
      request.socket.resetAndDestroy();
    } else answer(response, 200, { name: String(connections) });
  });
  server.on("connection", () => {
    connections += 1;
  });
  const peer = peerOf(url);
  expect(await peer.call(TABLE.listThings)).toEqual({ name: "1" });
  cut = true;
  expect(await peer.call(TABLE.listThings)).toEqual({ name: "2" });
  cut = true;
  await expect(peer.call(TABLE.postThing, { body: { name: "x" } })).rejects.toMatchObject({ kind: "peer_unreachable" });
});

describe("an event stream", () => {
  const events =
    (text: string, then: (response: ServerResponse) => void): RequestListener =>
    (_request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(text, () => then(response));
    };

  async function heard(peer: Peer, signal = new AbortController().signal, lastEventId?: string): Promise<unknown[]> {
    const all: unknown[] = [];
    for await (const event of peer.events(TABLE.getEvents, { signal, ...(lastEventId === undefined ? {} : { lastEventId }) }))
      all.push(event);
    return all;
  }

  it("yields what the peer sends and ends when the peer ends it", async () => {
    const { url } = await serve(
      events('id: 1\nevent: worker\ndata: {"a":\ndata: 1}\n\n: beat\n\ndata: ü\n\n', (response) => response.end()),
    );
    expect(await heard(peerOf(url))).toEqual([{ id: "1", event: "worker", data: '{"a":\n1}' }, { data: "ü" }]);
  });

  it("throws when the connection breaks", async () => {
    const { url } = await serve(events("data: 1\n\n", (response) => response.destroy()));
    await expect(heard(peerOf(url))).rejects.toMatchObject({ kind: "peer_unreachable" });
  });

  it("throws what the peer says when it refuses", async () => {
    const { url } = await serve((_request, response) =>
      answer(response, 401, { error: { message: "cannot let you in", code: "unauthenticated" } }),
    );
    await expect(heard(peerOf(url))).rejects.toMatchObject({ kind: "unauthenticated", details: { status: 401 } });
  });

  it("must begin in time, but may then last", async () => {
    const { url: mute } = await serve(() => undefined);
    await expect(heard(peerOf(mute, { timeoutMs: 30 }))).rejects.toMatchObject({ kind: "peer_unreachable" });
    const { url } = await serve(events(": beat\n\n", (response) => void setTimeout(() => response.end("data: late\n\n"), 120)));
    expect(await heard(peerOf(url, { timeoutMs: 60 }))).toEqual([{ data: "late" }]);
  });

  it("asks to go on after the last event, with the token, on a connection of its own", async () => {
    const seen: unknown[] = [];
    const { url } = await serve((request, response) => {
      seen.push([request.headers["last-event-id"], request.headers.authorization, request.headers.accept]);
      response.writeHead(200, { "content-type": "text/event-stream" }).end();
    });
    await heard(peerOf(url, { token: "t" }), undefined, "41");
    expect(seen).toEqual([["41", "Bearer t", "text/event-stream"]]);
  });

  it("is left by the reader's signal with its reason, by the end of its loop, and by disposing the peer", async () => {
    const closed: Promise<unknown>[] = [];
    const { url, server } = await serve(events("data: 1\n\n", () => undefined));
    server.on("connection", (socket) => closed.push(once(socket, "close")));
    const reason = new Error("enough");
    const controller = new AbortController();
    const aborted = heardThen(peerOf(url), controller.signal, () => controller.abort(reason));
    await expect(aborted).rejects.toBe(reason);

    for await (const _event of peerOf(url).events(TABLE.getEvents, { signal: new AbortController().signal })) break;

    const peer = peerOf(url);
    const disposed = heardThen(peer, new AbortController().signal, () => void peer[Symbol.asyncDispose]());
    await expect(disposed).rejects.toMatchObject({ kind: "peer_unreachable" });
    expect(closed).toHaveLength(3);
    await Promise.all(closed);
  });

  async function heardThen(peer: Peer, signal: AbortSignal, then: () => void): Promise<void> {
    for await (const _event of peer.events(TABLE.getEvents, { signal })) then();
  }
});
