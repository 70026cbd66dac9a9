import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import { connect } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { encodeSse, openSse } from "./sse.ts";

const opened: (() => void)[] = [];
afterEach(() => {
  for (const close of opened.splice(0)) close();
});

async function served(handle: (response: ServerResponse) => void): Promise<number> {
  const server = createServer((_request, response) => handle(response)).listen(0, "127.0.0.1");
  await once(server, "listening");
  opened.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

describe("an event on the wire", () => {
  it("has a line for each line of its text", () => {
    expect(encodeSse({ id: "7", event: "worker", data: { a: 1 } })).toBe('id: 7\nevent: worker\ndata: {"a":1}\n\n');
    expect(encodeSse({ data: "one\r\ntwo\rthree\n" })).toBe("data: one\ndata: two\ndata: three\ndata: \n\n");
  });

  it("cannot be broken by its name or id", () => {
    expect(() => encodeSse({ event: "a\ndata: forged", data: 1 })).toThrow(/must be one line/);
    expect(() => encodeSse({ id: "a\r", data: 1 })).toThrow(/must be one line/);
  });
});

describe("an event stream", () => {
  it("sends its headers before the first event, and nothing after its end", async () => {
    const sent: boolean[] = [];
    const { promise: go, resolve: start } = Promise.withResolvers<void>();
    const port = await served(async (response) => {
      const stream = openSse(response);
      await go;
      sent.push(stream.comment("beat"), stream.send({ data: 1 }));
      stream.close();
      sent.push(stream.send({ data: 2 }), stream.closed);
    });
    const answer = await fetch(`http://127.0.0.1:${port}/`);
    expect([answer.headers.get("cache-control"), answer.headers.get("x-accel-buffering")]).toEqual(["no-cache", "no"]);
    start();
    expect(await answer.text()).toBe(": beat\n\ndata: 1\n\n");
    expect(sent).toEqual([true, true, false, true]);
  });

  it("drops a reader that does not read, at its limit", async () => {
    const { promise, resolve } = Promise.withResolvers<readonly [number, boolean]>();
    const port = await served((response) => {
      const stream = openSse(response, { bufferBytesMax: 256 * 1024 });
      let sent = 0;
      while (stream.send({ data: "x".repeat(64 * 1024) }) && sent < 10_000) sent += 1;
      resolve([sent, stream.closed]);
    });
    const reader = connect(port, "127.0.0.1");
    reader.pause();
    reader.on("error", () => undefined);
    reader.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    const [sent, closed] = await promise;
    expect([sent < 10_000, closed]).toEqual([true, true]);
    reader.destroy();
  });
});
