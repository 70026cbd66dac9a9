import { once } from "node:events";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import { RawClient, until } from "@queen-and-hive/dev-env";
import { expect, it } from "vitest";
import { BodyWriter } from "./body-writer.ts";

const PIECES = [1, 9, 10, 15, 16, 17, 255, 256, 4_095, 4_096, 70_000].map((length, index) =>
  Buffer.alloc(length, "abcdefghijk"[index]),
);
const WHOLE = Buffer.concat(PIECES);

async function serve(answer: (response: ServerResponse, request: IncomingMessage, body: BodyWriter) => void) {
  const server = createServer((message, response) => answer(response, message, new BodyWriter(response)));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

it("gives a client whose HTTP is Node's the same bytes, and what Node itself writes behind them", async () => {
  await using server = await serve((response, _request, body) => {
    for (const piece of [Buffer.alloc(0), ...PIECES]) body.write(piece);
    response.end("last");
  });
  const asked = request(server.url).end();
  const [answer]: IncomingMessage[] = await once(asked, "response");
  const chunks: Buffer[] = [];
  for await (const chunk of answer ?? []) chunks.push(chunk);
  expect(Buffer.concat(chunks).equals(Buffer.concat([WHOLE, Buffer.from("last")]))).toBe(true);
  expect(answer?.complete).toBe(true);
});

it("makes one chunk of each piece", async () => {
  await using server = await serve((response, _request, body) => {
    response.writeHead(200);
    for (const text of ["a".repeat(9), "b".repeat(17), "c".repeat(256)]) body.write(Buffer.from(text));
    response.end();
  });
  using client = new RawClient(server.url).read();
  await client.send("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
  const body = (await client.end()).split("\r\n\r\n").slice(1).join("\r\n\r\n");
  expect(body).toBe(`9\r\n${"a".repeat(9)}\r\n11\r\n${"b".repeat(17)}\r\n100\r\n${"c".repeat(256)}\r\n0\r\n\r\n`);
});

it("keeps what Node writes in between in its place", async () => {
  await using server = await serve(async (response, _request, body) => {
    for (let round = 0; round < 3; round += 1) {
      body.write(Buffer.from(`${round}a`));
      body.writeByNode(`${round}b`);
      body.write(Buffer.from(`${round}c`));
      await nextTurn();
      body.write(Buffer.from(`${round}d`));
    }
    response.end();
  });
  const asked = request(server.url).end();
  const [answer]: IncomingMessage[] = await once(asked, "response");
  const chunks: Buffer[] = [];
  for await (const chunk of answer ?? []) chunks.push(chunk);
  expect(String(Buffer.concat(chunks))).toBe("0a0b0c0d1a1b1c1d2a2b2c2d");
});

it("writes nothing into the next answer of a connection once its own has ended", async () => {
  const ended = Promise.withResolvers<BodyWriter>();
  await using server = await serve(async (response, { url }, body) => {
    body.write(Buffer.from("first"));
    await nextTurn();
    body.write(Buffer.from(" piece"));
    if (url === "/late") {
      response.on("error", () => undefined);
      response.end(() => ended.resolve(body));
    } else {
      (await ended.promise).write(Buffer.from("too late"));
      response.end();
    }
  });
  using client = new RawClient(server.url).read();
  await client.send("GET /late HTTP/1.1\r\nhost: x\r\n\r\n");
  await ended.promise;
  await client.send("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
  const said = await client.end();
  expect([...said.matchAll(/first|piece|late/g)].map(([word]) => word)).toEqual(["first", "piece", "first", "piece"]);
});

it("makes no chunks for a client of HTTP/1.0, nor of an answer whose length is known", async () => {
  await using server = await serve((response, { url }, body) => {
    if (url === "/length") response.setHeader("content-length", WHOLE.length);
    for (const piece of PIECES) body.write(piece);
    response.end();
  });
  for (const head of ["GET / HTTP/1.0\r\n\r\n", "GET /length HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"]) {
    using client = new RawClient(server.url).read();
    await client.send(head);
    const answer = await client.end();
    expect(answer.slice(answer.indexOf("\r\n\r\n") + 4) === WHOLE.toString("latin1")).toBe(true);
  }
});

it("keeps the answers of one connection in order, also when a later one is written first", async () => {
  const waiting: { readonly response: ServerResponse; readonly body: BodyWriter }[] = [];
  await using server = await serve((response, _request, body) => {
    waiting.push({ response, body });
    if (waiting.length < 2) return;
    for (const [index, each] of [...waiting.entries()].reverse()) {
      for (const text of ["one", "two", "three"]) each.body.write(Buffer.from(`${index} ${text} `));
      each.response.end();
    }
  });
  using client = new RawClient(server.url).read();
  await client.send("GET / HTTP/1.1\r\nhost: x\r\n\r\nGET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
  const words = [...(await client.end()).matchAll(/\d (?:one|two|three)/g)].map(([word]) => word);
  expect(words).toEqual(["0 one", "0 two", "0 three", "1 one", "1 two", "1 three"]);
});

it("says when the client is slow, and when it has read", async () => {
  const drained = Promise.withResolvers<void>();
  const stuck = Promise.withResolvers<BodyWriter>();
  await using server = await serve((_response, _request, body) => {
    body.write(Buffer.from("begun"));
    setImmediate(() => {
      // More than all buffers of the operating system.
      expect(body.write(Buffer.alloc(50_000_000))).toBe(false);
      body.onDrain(() => drained.resolve());
      stuck.resolve(body);
    });
  });
  using client = new RawClient(server.url);
  await client.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
  const body = await stuck.promise;
  expect(body.needsDrain).toBe(true);
  client.read();
  await drained.promise;
  expect(body.needsDrain).toBe(false);
});

it("leaves a client that has ended its half all that was written before", async () => {
  const begun = Promise.withResolvers<{ readonly response: ServerResponse; readonly body: BodyWriter }>();
  await using server = await serve((response, _request, body) => begun.resolve({ response, body }));
  using client = new RawClient(server.url);
  await client.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
  const { response, body } = await begun.promise;
  const much = Buffer.alloc(20_000_000, "x");
  body.write(Buffer.from("begun"));
  await new Promise((resolve) => setTimeout(resolve, 20));
  body.write(much);
  client.socket.end();
  await until(() => response.socket?.writable === false, 5_000, "the server knows of the end");
  body.write(Buffer.from("late"));
  client.read();
  const text = await client.end();
  expect(text.length).toBeGreaterThan(much.length);
});
