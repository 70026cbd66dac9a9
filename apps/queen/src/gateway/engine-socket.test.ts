import { spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { freePort } from "@queen-and-hive/dev-env";
import { Pool } from "undici";
import { expect, it } from "vitest";
import { callEngine, type EngineCall } from "./engine-call.ts";
import { connectorOf } from "./engine-connector.ts";
import { connectEngine } from "./engine-socket.ts";

const REQUEST = { path: "/", headers: { "content-length": "2" }, chunks: [Buffer.from("{}")] };

/** An engine that is nothing but sockets: `answer` is called with each request's connection. */
async function engine(answer: (socket: Socket) => void) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("data", () => answer(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const pool = new Pool(`http://127.0.0.1:${port}`, {
    connections: 1,
    pipelining: 1,
    connect: connectorOf({ connect: connectEngine }, 2_000),
  });
  return {
    pool,
    connections: () => sockets.size,
    [Symbol.asyncDispose]: async () => {
      await pool.destroy();
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

it("what an engine sends at once is read whole, by turns of the event loop", async () => {
  await using served = await engineProcess(8_000_000);
  let inTurn = 0;
  let mostInTurn = 0;
  const heard = ask(served.pool, () => {
    if (inTurn === 0) setImmediate(() => (inTurn = 0));
    inTurn += 1;
    mostInTurn = Math.max(mostInTurn, inTurn);
    // More than a turn of the event loop is given.
    const untilMs = performance.now() + 4;
    while (performance.now() < untilMs);
  });
  expect(await heard.end).toBe("ended");
  expect(heard.body().every((byte, index) => byte === index % 251)).toBe(true);
  expect(heard.body().length).toBe(8_000_000);
  // One, and the first of the next turn, which begins before ours is counted.
  expect(mostInTurn).toBeLessThanOrEqual(2);
});

/** An engine in a process of its own, which fills a connection while ours is busy. It answers with so many bytes that count up. */
async function engineProcess(bodyBytes: number) {
  const answers = `const body = Buffer.alloc(${bodyBytes}); for (let at = 0; at < body.length; at += 1) body[at] = at % 251;
    const server = require("node:http").createServer((request, response) => response.end(body));
    server.listen(0, "127.0.0.1", () => console.log(server.address().port));`;
  const child = spawn(process.execPath, ["-e", answers], { stdio: ["ignore", "pipe", "inherit"] });
  const gone = once(child, "exit");
  const [port] = await once(child.stdout, "data");
  const pool = new Pool(`http://127.0.0.1:${String(port).trim()}`, { connect: connectorOf({ connect: connectEngine }, 2_000) });
  return {
    pool,
    [Symbol.asyncDispose]: async () => {
      await pool.destroy();
      child.kill("SIGKILL");
      await gone;
    },
  };
}

interface Heard {
  readonly head: () => Readonly<Record<string, unknown>>;
  readonly body: () => Buffer;
  readonly end: Promise<string>;
  readonly call: EngineCall;
}

function ask(pool: Pool, onData: (call: EngineCall, bytes: number) => void = () => undefined): Heard {
  const chunks: Buffer[] = [];
  let bytes = 0;
  let head: Readonly<Record<string, unknown>> = {};
  const { promise, resolve } = Promise.withResolvers<string>();
  const call: EngineCall = callEngine(pool, REQUEST, {
    sent: () => undefined,
    head: (status, headers) => {
      head = { status, ...headers };
    },
    data: (chunk) => {
      chunks.push(chunk);
      bytes += chunk.length;
      onData(call, bytes);
    },
    ended: () => resolve("ended"),
    broken: (how) => resolve(how),
  });
  return { head: () => head, body: () => Buffer.concat(chunks), end: promise, call };
}

const BODY = Buffer.from(Array.from({ length: 3_000_000 }, (_, index) => index % 251));
const ANSWER = Buffer.concat([
  Buffer.from(`HTTP/1.1 200 OK\r\nx-long-name: a long value\r\ncontent-length: ${BODY.length}\r\n\r\n`),
  BODY,
]);

it("brings an answer byte for byte, and the next one on the same connection", async () => {
  await using one = await engine((socket) => void socket.write(ANSWER));
  for (let round = 0; round < 3; round += 1) {
    const heard = ask(one.pool);
    expect(await heard.end).toBe("ended");
    expect(heard.body().equals(BODY)).toBe(true);
  }
  expect(one.connections()).toBe(1);
});

it("brings headers that come byte by byte, while other connections read", async () => {
  const text = "HTTP/1.1 200 OK\r\nx-long-name: a long value\r\ncontent-length: 4\r\n\r\ngood";
  await using slow = await engine(async (socket) => {
    for (const byte of text) {
      socket.write(byte);
      await new Promise(setImmediate);
    }
  });
  await using other = await engine((socket) => void socket.write(ANSWER));
  const heard = ask(slow.pool);
  const others = ask(other.pool);
  expect([await heard.end, await others.end]).toEqual(["ended", "ended"]);
  expect(heard.head()).toMatchObject({ status: 200, "x-long-name": "a long value", "content-length": "4" });
  expect(heard.body().toString()).toBe("good");
});

it("reads no more while it is paused, and loses nothing by it", async () => {
  let written = 0;
  await using one = await engine((socket) => {
    const total = 40 * BODY.length;
    socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${total}\r\n\r\n`);
    const write = (): void => {
      if (written >= total || socket.destroyed) return;
      written += BODY.length;
      if (socket.write(BODY)) setImmediate(write);
      else socket.once("drain", write);
    };
    write();
  });
  let pauses = 0;
  let isPaused = false;
  let readWhilePaused = 0;
  const heard = ask(one.pool, (call, bytes) => {
    if (isPaused) readWhilePaused += 1;
    // At the end of what has arrived, and in its middle.
    if (bytes < pauses * 7_000_000) return;
    pauses += 1;
    isPaused = true;
    call.pause();
    setTimeout(() => {
      isPaused = false;
      call.resume();
    }, 20);
  });
  expect(await heard.end).toBe("ended");
  expect(pauses).toBeGreaterThan(10);
  expect(readWhilePaused).toBe(0);
  expect(heard.body().equals(Buffer.concat(Array.from({ length: 40 }, () => BODY)))).toBe(true);
});

it("makes an engine wait whose answer nobody takes", async () => {
  let written = 0;
  await using one = await engine((socket) => {
    socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${100 * BODY.length}\r\n\r\n`);
    const write = (): void => {
      if (socket.destroyed || written >= 100 * BODY.length) return;
      written += BODY.length;
      if (socket.write(BODY)) setImmediate(write);
      else socket.once("drain", write);
    };
    write();
  });
  const heard = ask(one.pool, (call) => call.pause());
  let last = -1;
  for (let looks = 0; looks < 20; looks = written === last ? looks + 1 : 0) {
    last = written;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  // What the kernel takes is a few megabytes of three hundred.
  expect(written).toBeLessThan(50_000_000);
  expect(heard.body().length).toBeLessThan(1_000_000);
  heard.call.cancel();
});

it("tells a connection that is closed from one that is refused", async () => {
  await using half = await engine((socket) => void socket.end("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"));
  expect(await ask(half.pool).end).toBe("reset");
  await using cut = await engine((socket) => void socket.resetAndDestroy());
  expect(await ask(cut.pool).end).toBe("reset");
  const port = await freePort();
  await expect(connectEngine({ host: "127.0.0.1", port }, 2_000)).rejects.toMatchObject({ code: "ECONNREFUSED" });
});

it("takes an answer without a length to end with its connection", async () => {
  await using one = await engine((socket) => void socket.end("HTTP/1.1 200 OK\r\n\r\nall of it"));
  const heard = ask(one.pool);
  expect(await heard.end).toBe("ended");
  expect(heard.body().toString()).toBe("all of it");
});

it("gives up on a connection that does not come about in time", async () => {
  // Who takes no connection lets one or two wait, and leaves the others without an answer.
  const full = spawn(process.execPath, [
    "-e",
    `const server = require("node:net").createServer();
     server.listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => {
       require("node:fs").writeSync(1, server.address().port + "\\n");
       Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 30_000);
       process.exit();
     });`,
  ]);
  try {
    const [line]: Buffer[] = await once(full.stdout, "data");
    const address = { host: "127.0.0.1", port: Number(line) };
    const tries = Array.from({ length: 8 }, () => connectEngine(address, 300));
    const ends = await Promise.allSettled(tries);
    const refused = ends.filter((end) => end.status === "rejected");
    expect(refused.length).toBeGreaterThan(0);
    for (const { reason } of refused) expect(String(reason)).toContain("no connection within 300 ms");
    for (const end of ends) if (end.status === "fulfilled") end.value.destroy();
  } finally {
    full.kill("SIGKILL");
  }
});

it("gives back and takes again what came in one piece, however often it is paused in it", async () => {
  const pieces = 400;
  const piece = (index: number): string => `piece-${index};`.padEnd(1_000, "x");
  const framed = Array.from({ length: pieces }, (_, index) => `3e8\r\n${piece(index)}\r\n`);
  for (const closes of [false, true]) {
    await using one = await engine(async (socket) => {
      socket.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
      for (let index = 0; index < pieces; index += 8) {
        socket.write(framed.slice(index, index + 8).join(""));
        await new Promise(setImmediate);
      }
      socket.write("0\r\n\r\n");
      if (closes) socket.end();
    });
    const heard = ask(one.pool, (call) => {
      call.pause();
      setImmediate(() => call.resume());
    });
    expect(await heard.end).toBe("ended");
    expect(heard.body().toString()).toBe(Array.from({ length: pieces }, (_, index) => piece(index)).join(""));
  }
});

it("goes to port 80 where an address names none", async () => {
  const asked: { readonly host: string; readonly port: number }[] = [];
  const connector = connectorOf(
    {
      connect: async (address) => {
        asked.push(address);
        throw new Error("nobody is there");
      },
    },
    1_000,
  );
  for (const url of ["http://mac", "http://mac:80", "http://[::1]:8080"]) {
    const pool = new Pool(url, { connect: connector });
    expect(await ask(pool).end).toBe("connect_failed");
    await pool.destroy();
  }
  expect(asked).toEqual([
    { host: "mac", port: 80 },
    { host: "mac", port: 80 },
    { host: "::1", port: 8080 },
  ]);
});
