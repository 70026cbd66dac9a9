import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { duplexPair, PassThrough } from "node:stream";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { expect, it } from "vitest";
import { LoopShare } from "./loop-share.ts";
import { endSlices, readChunksByTurns, readInSlices } from "./sliced-reading.ts";
import { holdSocket } from "./socket-hold.ts";

const POST = "POST /in HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n";
const GET = "GET /out HTTP/1.1\r\nhost: localhost\r\n\r\n";
const LAST = "GET /out HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
const LARGE = "x".repeat(50_000);
/** A share of which nothing is ever left: only those have a slice whose turn it is. */
const oneSliceATurn = (): Pick<LoopShare, "isSpent" | "afterTurn"> => ({
  isSpent: true,
  afterTurn: (work) => void setImmediate(work),
});

it("no more than a slice is parsed ahead of the next turn, and everything comes in order", async () => {
  const socket = new PassThrough({ highWaterMark: 1_000_000 });
  const seen: Buffer[] = [];
  let turn = 0;
  const sliceOfTurn: number[] = [];
  socket.on("data", (bytes: Buffer) => {
    seen.push(bytes);
    sliceOfTurn.push(turn);
    passTime();
  });
  readInSlices(socket, oneSliceATurn());
  const sent = Buffer.from(Array.from({ length: 50_000 }, (_, index) => index % 251));
  socket.end(sent);
  const ended = once(socket, "end");
  const count = (): void => {
    turn += 1;
    if (!socket.readableEnded) setImmediate(count);
  };
  count();
  await ended;
  expect(Buffer.concat(seen).equals(sent)).toBe(true);
  expect(Math.max(...seen.map((bytes) => bytes.length))).toBe(4_096);
  expect(new Set(sliceOfTurn).size).toBe(sliceOfTurn.length);
});

it("of what has many lines, as chunks of one byte have, less is parsed in one go", async () => {
  const socket = new PassThrough({ highWaterMark: 1_000_000 });
  const seen: Buffer[] = [];
  socket.on("data", (bytes: Buffer) => seen.push(bytes));
  readInSlices(socket, oneSliceATurn());
  const chunks = Buffer.from("1\r\n \r\n".repeat(200));
  socket.end(Buffer.concat([chunks, Buffer.alloc(6_000)]));
  await once(socket, "end");
  expect(seen.map((bytes) => bytes.length)).toEqual([480, 480, 4_096, 2_144]);
  expect(Buffer.concat(seen).subarray(0, chunks.length).equals(chunks)).toBe(true);
});

it("a body in chunks of one byte is read whole and in few pieces, and requests behind it are answered in order", async () => {
  const text = Array.from({ length: 30_000 }, (_, index) => String(index % 10)).join("");
  const chunks = [...text].map((byte) => `1\r\n${byte}\r\n`).join("");
  await using served = await serve(new LoopShare());
  const socket = connect(served.port);
  const answer = readAll(socket);
  socket.write(`${POST}${chunks}0\r\n\r\n${GET}${POST}2\r\nab\r\n0\r\n\r\n${LAST}`);
  expect(bodiesOf(await answer).map(short)).toEqual([text, LARGE, "ab", LARGE].map(short));
  // 30,000 chunks, of which Node reads at most some 11,000 at once.
  expect(served.pieces()).toBeLessThan(300);
});

it("hundreds of requests behind such a body, whose answers nobody reads for a while, are all answered", async () => {
  await using served = await serve(new LoopShare());
  let resumed = 0;
  served.server.on("connection", (connection) => connection.on("resume", () => (resumed += 1)));
  const socket = connect(served.port);
  socket.pause();
  const count = 600;
  socket.write(`${POST}1\r\na\r\n0\r\n\r\n`);
  await served.answered();
  socket.write(GET.repeat(count - 1) + LAST);
  // Long enough for the server to have stopped reading: 30 MB of answers are more than the connection holds.
  await sleep(300);
  expect(served.requests()).toBeLessThan(count);
  // Nobody tries again and again meanwhile.
  expect(resumed).toBeLessThan(50);
  expect(bodiesOf(await readAll(socket)).map(short)).toEqual(["a", ...Array.from({ length: count }, () => LARGE)].map(short));
});

it("a connection that the server has stopped reading just then is read again", async () => {
  await using served = await serve(new LoopShare(), 9_000_000);
  const socket = connect(served.port);
  socket.pause();
  // The first answer is more than the connection holds: the second request stops the server's reading.
  socket.write(GET);
  await sleep(100);
  socket.write(`${POST}1\r\na\r\n`);
  await sleep(100);
  const answer = readAll(socket);
  await sleep(100);
  socket.write(`1\r\nb\r\n0\r\n\r\n${LAST}`);
  expect(bodiesOf(await answer).map(({ length }) => length)).toEqual([9_000_000, 2, 9_000_000]);
});

it("connections have their slices in turns, however much one of them sends", async () => {
  const share = new LoopShare();
  const order: string[] = [];
  const reading = ["a", "b"].map((name) => {
    const socket = new PassThrough({ highWaterMark: 1_000_000 });
    socket.on("data", () => {
      order.push(name);
      passTime();
    });
    readInSlices(socket, share);
    socket.end(Buffer.alloc(10 * 4_096));
    return once(socket, "end");
  });
  await Promise.all(reading);
  expect(order.slice(2, 12).join("")).toMatch(/^(ab){5}$|^(ba){5}$/);
});

it("what follows a request that ends the HTTP of its connection is parsed by nobody", async () => {
  await using served = await serve(oneSliceATurn());
  const socket = connect(served.port);
  const answer = readAll(socket);
  let failures = 0;
  served.server.on("clientError", () => (failures += 1));
  served.server.on("connect", (_request, connection) => {
    endSlices(connection);
    connection.write("tunnel");
    // Takes the parser that has become free: what it is fed now would be this connection's.
    served.server.emit("connection", duplexPair()[1]);
    connection.on("data", () => undefined).once("end", () => connection.end());
  });
  socket.write(`${POST}1\r\na\r\n0\r\n\r\n`);
  await served.answered();
  socket.end(`CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n${GET.repeat(500)}`);
  expect((await answer).endsWith("tunnel")).toBe(true);
  expect([served.requests(), failures]).toEqual([1, 0]);
});

it("a parser that has failed is asked no further, whatever else has come with it", async () => {
  await using served = await serve(new LoopShare());
  let failures = 0;
  served.server.on("clientError", (_error, connection) => {
    endSlices(connection);
    failures += 1;
    connection.end("HTTP/1.1 400 Bad Request\r\n\r\n");
  });
  const socket = connect(served.port);
  const answer = readAll(socket);
  socket.write(`${POST}1\r\na\r\n`);
  await served.begun();
  socket.end(`zz\r\n${GET.repeat(500)}`);
  expect(await answer).toContain("400 Bad Request");
  expect(failures).toBe(1);
});

it("what has come of a body is handed on though no more comes", async () => {
  await using served = await serve(new LoopShare());
  const socket = connect(served.port);
  socket.write(`${POST}1\r\na\r\n`);
  await served.piece();
  socket.destroy();
});

it("a connection that several hold is read again when the last lets go, and has one listener for all", async () => {
  const socket = new PassThrough();
  const seen: string[] = [];
  socket.on("data", (bytes: Buffer) => seen.push(bytes.toString()));
  const releases = Array.from({ length: 20 }, () => holdSocket(socket));
  expect(socket.listenerCount("resume")).toBe(1);
  socket.write("a");
  for (const release of releases.slice(1)) release();
  // Whoever reads a body resumes its connection.
  socket.resume();
  await nextTurn();
  expect(seen).toEqual([]);
  releases[0]?.();
  await nextTurn();
  expect(seen).toEqual(["a"]);
  expect(socket.listenerCount("resume")).toBe(0);
});

interface Served extends AsyncDisposable {
  readonly server: Server;
  readonly port: number;
  requests(): number;
  /** Pieces in which bodies came. */
  pieces(): number;
  /** A piece of a body has come. */
  piece(): Promise<void>;
  /** A request has begun. */
  begun(): Promise<void>;
  /** An answer has been given. */
  answered(): Promise<void>;
}

/** A server that gives back what it is sent, and 50 kB to who sends nothing. */
async function serve(share: Pick<LoopShare, "isSpent" | "afterTurn">, answerBytes = LARGE.length): Promise<Served> {
  let requests = 0;
  let pieces = 0;
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    requests += 1;
    readChunksByTurns(request, share);
    server.emit("begun");
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => {
      pieces += 1;
      server.emit("piece");
      chunks.push(chunk);
    });
    request.on("end", () => {
      const body = Buffer.concat(chunks).toString();
      response.end(body === "" ? "x".repeat(answerBytes) : body, () => server.emit("answered"));
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    server,
    port: (server.address() as AddressInfo).port,
    requests: () => requests,
    pieces: () => pieces,
    piece: async () => void (await once(server, "piece")),
    begun: async () => void (await once(server, "begun")),
    answered: async () => void (await once(server, "answered")),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** More than a connection has of a turn. */
function passTime(): void {
  const untilMs = performance.now() + 4;
  while (performance.now() < untilMs);
}

/** What a person can read when two differ. */
function short(text: string): string {
  return `${text.length} bytes of SHA-1 ${createHash("sha1").update(text).digest("hex")}`;
}

async function readAll(socket: NodeJS.ReadableStream): Promise<string> {
  let all = "";
  for await (const bytes of socket) all += String(bytes);
  return all;
}

/** The bodies of answers with a content-length, one behind another. */
function bodiesOf(answers: string): string[] {
  const bodies: string[] = [];
  let at = 0;
  while (at < answers.length) {
    const head = answers.indexOf("\r\n\r\n", at) + 4;
    const length = Number(/content-length: (\d+)/i.exec(answers.slice(at, head))?.[1]);
    bodies.push(answers.slice(head, head + length));
    at = head + length;
  }
  return bodies;
}
