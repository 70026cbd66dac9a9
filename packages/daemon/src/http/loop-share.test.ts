import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { expect, it } from "vitest";
import { readChunks } from "./body.ts";

const BODY_BYTES = 16 * 1_048_576;
const HEAD = "POST / HTTP/1.1\r\nhost: localhost\r\n";
/** Chunks of one byte. */
const SMALL_BYTES = 50_000;
const SMALL = Buffer.from(`${HEAD}transfer-encoding: chunked\r\n\r\n${"1\r\n \r\n".repeat(SMALL_BYTES)}0\r\n\r\n`);
const LARGE = Buffer.concat([Buffer.from(`${HEAD}content-length: ${BODY_BYTES}\r\n\r\n`), Buffer.alloc(BODY_BYTES, " ")]);

it.each([
  ["large chunks", LARGE, BODY_BYTES],
  ["chunks of one byte", SMALL, SMALL_BYTES],
])(
  "several bodies in %s are read whole, and in no turn of the event loop all that has come of them",
  async (_what, bytes, length) => {
    let inTurn = 0;
    let mostInTurn = 0;
    const lengths: number[] = [];
    const server = createServer(async (request, response) => {
      const chunks = await readChunks(request, 64 * 1_048_576, AbortSignal.timeout(20_000), (chunk) => {
        if (inTurn === 0) setImmediate(() => (inTurn = 0));
        inTurn += chunk.length + 128;
        mostInTurn = Math.max(mostInTurn, inTurn);
      });
      lengths.push(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
      response.end();
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    try {
      await Promise.all(
        Array.from({ length: 6 }, async () => {
          const socket = connect(port, "127.0.0.1");
          socket.write(bytes);
          await once(socket, "data");
          socket.destroy();
        }),
      );
    } finally {
      server.closeAllConnections();
      server.close();
    }
    expect(lengths).toEqual(Array.from({ length: 6 }, () => length));
    // The bound, and a chunk more of each.
    expect(mostInTurn).toBeLessThan(1_048_576 + 6 * 2 * 65_536);
  },
);
