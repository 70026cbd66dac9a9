import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, it } from "vitest";
import { readChunks } from "./body.ts";
import { hurryTurns, LoopShare } from "./loop-share.ts";

const HEAD = "POST / HTTP/1.1\r\nhost: localhost\r\n";
const SENDERS = 3;
const WORKS = 20;
/** Then work waits for ever. */
const TURNS_MAX = 10_000;
/** More than a turn of the event loop is given. */
const LONG_MS = 4;
/** What Node reads of a connection at once. */
const READ_BYTES = 65_536;

it("what waits is done turn by turn in the order in which it came, and nothing that comes meanwhile overtakes it", async () => {
  const share = new LoopShare();
  const done: number[] = [];
  for (const work of [1, 2, 3]) {
    share.afterTurn(() => {
      done.push(work);
      passTime();
    });
  }
  expect(share.isSpent).toBe(true);
  await nextTurn();
  expect(done).toEqual([1]);
  await nextTurn();
  expect(done).toEqual([1, 2]);
  await nextTurn();
  expect(done).toEqual([1, 2, 3]);
  await nextTurn();
  expect(share.isSpent).toBe(false);
});

it("while each turn brings a connection, nothing is done; when none comes, it is done", async () => {
  const share = new LoopShare();
  let done = 0;
  for (let turn = 0; turn < 10; turn += 1) {
    hurryTurns();
    share.afterTurn(() => (done += 1));
    expect(share.isSpent).toBe(true);
    await nextTurn();
  }
  expect(done).toBe(0);
  await nextTurn();
  expect(done).toBeGreaterThan(0);
});

it("however connections come, no work waits for more than some turns", async () => {
  for (const comesIn of [() => true, (turn: number) => turn % 2 === 0, (turn: number) => turn % 9 !== 0]) {
    const turnsOfWorks = await workWhile(new LoopShare(), comesIn);
    expect(turnsOfWorks).toHaveLength(WORKS);
    const waits = turnsOfWorks.map((turn, index) => turn - (turnsOfWorks[index - 1] ?? 0));
    expect(Math.max(...waits)).toBeLessThan(20);
    // One each time, where there is time for several otherwise; the machine may stand still for so long that none counts as new.
    expect(new Set(turnsOfWorks).size).toBeGreaterThan(WORKS / 2);
  }
});

it("a share that never rests works in each turn", async () => {
  const turnsOfWorks = await workWhile(new LoopShare(0), () => true);
  expect(turnsOfWorks.at(-1)).toBeLessThanOrEqual(WORKS + 1);
});

it("bodies whose every chunk is much work are read whole, chunk by chunk in turns of the event loop, each in its turn", async () => {
  const chunk = `2710\r\n${" ".repeat(10_000)}\r\n`;
  const body = Buffer.from(`${HEAD}transfer-encoding: chunked\r\n\r\n${chunk.repeat(12)}0\r\n\r\n`);
  let inTurn = 0;
  let mostInTurn = 0;
  const order: number[] = [];
  const lengths = await serveBodies(body, (sender) => {
    if (inTurn === 0) setImmediate(() => (inTurn = 0));
    inTurn += 1;
    mostInTurn = Math.max(mostInTurn, inTurn);
    order.push(sender);
    passTime();
  });
  expect(lengths).toEqual(Array.from({ length: SENDERS }, () => 120_000));
  // One, and the first of the next turn, which begins before ours is counted.
  expect(mostInTurn).toBeLessThanOrEqual(2);
  // Nobody's body is over before another's has begun.
  expect(new Set(order.slice(0, SENDERS * 3)).size).toBe(SENDERS);
});

it("of bodies in chunks of one byte no more is kept back than Node has read of them at once", async () => {
  const count = 40_000;
  const body = Buffer.from(`${HEAD}transfer-encoding: chunked\r\n\r\n${"1\r\n \r\n".repeat(count)}0\r\n\r\n`);
  let mostWaiting = 0;
  const lengths = await serveBodies(body, (_sender, waitingBytes) => {
    mostWaiting = Math.max(mostWaiting, waitingBytes);
  });
  expect(lengths).toEqual(Array.from({ length: SENDERS }, () => count));
  // Each chunk takes six bytes of what is read.
  expect(mostWaiting).toBeLessThan((2 * READ_BYTES) / 6);
});

/** Many works wait, and connections come in some of the turns. Returns in which turns the works were done. */
async function workWhile(share: LoopShare, comesIn: (turn: number) => boolean): Promise<readonly number[]> {
  const turnsOfWorks: number[] = [];
  let turn = 0;
  for (let work = 0; work < WORKS; work += 1) {
    share.afterTurn(() => {
      turnsOfWorks.push(turn);
      passTime(0.6);
    });
  }
  while (turnsOfWorks.length < WORKS && turn < TURNS_MAX) {
    if (comesIn(turn)) hurryTurns();
    turn += 1;
    await nextTurn();
  }
  return turnsOfWorks;
}

function passTime(ms = LONG_MS): void {
  const untilMs = performance.now() + ms;
  while (performance.now() < untilMs);
}

/** Several clients send these bytes at once; what is seen of each chunk before it is kept. Returns the lengths of the bodies. */
async function serveBodies(bytes: Buffer, look: (sender: number, waitingBytes: number) => void): Promise<readonly number[]> {
  const lengths: number[] = [];
  let senders = 0;
  const server = createServer(async (request, response) => {
    senders += 1;
    const sender = senders;
    const chunks = await readChunks(request, 64 * 1_048_576, AbortSignal.timeout(20_000), () => {
      look(sender, request.readableLength);
    });
    lengths.push(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
    response.end();
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  try {
    const send = async (): Promise<void> => {
      const socket = connect(port, "127.0.0.1");
      socket.write(bytes);
      await once(socket, "data");
      socket.destroy();
    };
    await Promise.all(Array.from({ length: SENDERS }, send));
  } finally {
    server.closeAllConnections();
    server.close();
  }
  return lengths;
}
