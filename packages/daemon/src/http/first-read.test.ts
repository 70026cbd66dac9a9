import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { type Duplex, duplexPair } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, it } from "vitest";
import { lookAtFirstReads } from "./first-read.ts";
import { readChunksByTurns } from "./sliced-reading.ts";
import { holdSocket } from "./socket-hold.ts";

const HEAD = "POST / HTTP/1.1\r\nhost: localhost\r\n";
const CHUNKED = `${HEAD}transfer-encoding: chunked\r\n`;
const BYTES = 8_000;
const CHUNKS = `${"1\r\nx\r\n".repeat(BYTES)}0\r\n\r\n`;

it("chunks that come in one write with their headers are parsed by turns", async () => {
  await using served = await serve();
  await expectEchoed(served.accept(), `${CHUNKED}\r\n${CHUNKS}`);
  // 100 slices; a turn may have several.
  expect(served.turns()).toBeGreaterThanOrEqual(10);
});

it("so are those that are few bytes and many chunks", async () => {
  await using served = await serve();
  await expectEchoed(served.accept(), `${CHUNKED}\r\n${"1\r\nx\r\n".repeat(600)}0\r\n\r\n`, 600);
  expect(served.turns()).toBeGreaterThan(0);
});

it("so are those behind an empty line or another request", async () => {
  for (const ahead of ["\r\n\r\n", `${HEAD}content-length: 0\r\n\r\n`]) {
    await using served = await serve();
    const answers = ahead === "\r\n\r\n" ? [BYTES] : [0, BYTES];
    await expectEchoed(served.accept(), `${ahead}${CHUNKED}\r\n${CHUNKS}`, ...answers);
    expect(served.turns()).toBeGreaterThanOrEqual(10);
  }
});

it("so are those whose headers end in a write of their own", async () => {
  await using served = await serve();
  const client = served.accept();
  client.write(CHUNKED);
  await sleep(20);
  await expectEchoed(client, `\r\n${CHUNKS}`);
  expect(served.turns()).toBeGreaterThanOrEqual(10);
});

it("a body of one length is Node's alone, and so is what follows it", async () => {
  await using served = await serve();
  const client = served.accept();
  const body = "x".repeat(50_000);
  for (let times = 0; times < 2; times += 1) {
    await expectEchoed(client, `${HEAD}content-length: ${body.length}\r\n\r\n${body}`, body.length);
  }
  expect(served.turns()).toBe(0);
});

it("real connections are served whichever way they begin, one after the other and at once", async () => {
  await using served = await serve();
  const plain = `${HEAD}content-length: 2\r\n\r\nab`;
  const kept = served.connect();
  for (const text of [plain, `${CHUNKED}\r\n${CHUNKS}`, plain, `${CHUNKED}\r\n${CHUNKS}`]) {
    await expectEchoed(kept, text, text === plain ? 2 : BYTES);
  }
  await Promise.all(
    Array.from({ length: 20 }, (_, index) => {
      const text = index % 2 === 0 ? plain : `${CHUNKED}\r\n${CHUNKS}`;
      return expectEchoed(served.connect(), text, text === plain ? 2 : BYTES);
    }),
  );
});

it("a body that is held when it has begun is not read on", async () => {
  await using served = await serve();
  let seen = 0;
  const held = Promise.withResolvers<() => number>();
  const released = Promise.withResolvers<void>();
  served.server.removeAllListeners("request").on("request", (request, response) => {
    request.on("data", (piece: Buffer) => (seen += piece.length)).on("end", () => response.end());
    request.once("data", () => {
      const release = holdSocket(request.pause().socket);
      held.resolve(() => request.socket.bytesRead);
      void released.promise.then(() => {
        release();
        request.resume();
      });
    });
  });
  const client = served.connect();
  const [begun, length] = [20_000, 30_000_000];
  client.write(Buffer.concat([Buffer.from(`${HEAD}content-length: ${length}\r\n\r\n`), Buffer.alloc(begun)]));
  const bytesRead = await held.promise;
  client.write(Buffer.alloc(length - begun));
  await sleep(200);
  expect(bytesRead()).toBeLessThan(1_000_000);
  released.resolve();
  await until(() => seen === length);
});

it("requests in one write, whose answers nobody reads for a while, are all answered", async () => {
  await using served = await serve();
  served.server.removeAllListeners("request").on("request", (_request, response) => response.end(Buffer.alloc(1_000_000)));
  const client = served.connect();
  client.pause();
  const ten = "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(10);
  client.write(ten);
  await sleep(200);
  client.write(ten);
  await sleep(200);
  let bytes = 0;
  client.on("data", (piece: Buffer) => (bytes += piece.length)).resume();
  await until(() => bytes > 20_000_000);
});

it("a connection on which nothing comes for a while is served when something comes", async () => {
  await using served = await serve();
  const client = served.connect();
  await sleep(1_300);
  await expectEchoed(client, `${CHUNKED}\r\n${CHUNKS}`);
});

it("one that says nothing at all is told so by the server's own limit of time", async () => {
  await using served = await serve({ headersTimeout: 500, connectionsCheckingInterval: 50 });
  const client = served.connect();
  const [answer] = await once(client, "data");
  expect(String(answer)).toContain("408 Request Timeout");
});

it("one that ends or breaks before anything has come is forgotten", async () => {
  await using served = await serve();
  const ending = served.connect();
  const closed = nextClosed(served.server);
  ending.end();
  await Promise.all([closed, once(ending.resume(), "close")]);
  const breaking = served.connect();
  const broken = nextClosed(served.server);
  breaking.once("connect", () => breaking.resetAndDestroy());
  breaking.on("error", () => undefined);
  await broken;
  expect(await served.count()).toBe(0);
});

interface Served extends AsyncDisposable {
  readonly server: Server;
  /** A connection that is no socket: what is written at once comes at once. */
  accept(): Duplex;
  connect(): Socket;
  count(): Promise<number>;
  /** How often something had to wait for the next turn. */
  turns(): number;
}

/** A server that gives back what it is sent. */
async function serve(limits: Parameters<typeof createServer>[0] = {}): Promise<Served> {
  let turns = 0;
  const share = {
    isSpent: true,
    afterTurn: (work: () => void): void => {
      turns += 1;
      setImmediate(work);
    },
  };
  const server = createServer(limits, (request, response) => {
    readChunksByTurns(request, share);
    const pieces: Buffer[] = [];
    request.on("data", (piece: Buffer) => pieces.push(piece)).on("end", () => response.end(Buffer.concat(pieces)));
  });
  lookAtFirstReads(server, share);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const clients: Duplex[] = [];
  const kept = <T extends Duplex>(client: T): T => {
    clients.push(client);
    return client;
  };
  return {
    server,
    accept: () => {
      const [near, far] = duplexPair({ highWaterMark: 1_000_000 });
      server.emit("connection", far);
      return kept(near);
    },
    connect: () => kept(connect(port, "127.0.0.1")),
    count: () =>
      new Promise((resolve, reject) => {
        server.getConnections((error, count) => (error === null ? resolve(count) : reject(error)));
      }),
    turns: () => turns,
    [Symbol.asyncDispose]: async () => {
      for (const client of clients) client.destroy();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Resolves when the next connection is gone, for whatever reason. */
function nextClosed(server: Server): Promise<void> {
  return new Promise((resolve) => server.once("connection", (socket) => socket.once("close", () => resolve())));
}

/** Sends this, and waits for an answer for each of these numbers, with a body of so many bytes. */
async function expectEchoed(client: Duplex, text: string, ...bodies: number[]): Promise<void> {
  let answers = "";
  const take = (piece: Buffer): void => {
    answers += String(piece);
  };
  client.on("data", take);
  client.write(text);
  for (const bytes of bodies.length === 0 ? [BYTES] : bodies) {
    const headersEnd = await until(() => answers.indexOf("\r\n\r\n") + 1);
    await until(() => answers.length >= headersEnd + 3 + bytes);
    expect(answers).toMatch(/^HTTP\/1.1 200 OK\r\n/);
    expect(Number(/content-length: (\d+)/i.exec(answers)?.[1])).toBe(bytes);
    answers = answers.slice(headersEnd + 3 + bytes);
  }
  client.off("data", take);
  expect(answers).toBe("");
}

async function until<T>(condition: () => T): Promise<T> {
  for (;;) {
    const said = condition();
    if (said !== false && said !== 0) return said;
    await sleep(1);
  }
}
