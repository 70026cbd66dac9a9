import { setTimeout as sleep } from "node:timers/promises";
import { RawClient, rawPost, until } from "@queen-and-hive/dev-env";

/** One way to misbehave towards a queen. */
export interface Misbehaviour {
  readonly what: string;
  /** How many do it at the same time. */
  readonly times: number;
  /** It goes on until it is told to stop. */
  readonly isEndless: boolean;
  /** Does it once, or until told to stop. Throws when the queen's answer is not the one that is due. */
  misbehave(url: string, signal: AbortSignal): Promise<void>;
}

const CHAT = "/v1/chat/completions";
/** Beyond `stream.idle` of the bench's queen. */
const GIVEN_UP_MS = 3_000;
const MEBIBYTE = 1_048_576;
/** Near the limit of a body (limits.body, 50 MiB). */
const LARGE_BYTES = 45 * MEBIBYTE;
const SMALL_CHUNKS = 50_000;
const CHUNKED_HEAD = `POST ${CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n`;
const CHUNK = Buffer.from(`100000\r\n${" ".repeat(MEBIBYTE)}\r\n`);
const FLOOD = Array.from({ length: 2_000 }, (_, index) => `x-${index}: ${"x".repeat(50)}`);

/** The models `good` and `flood` that the clients ask for are the ground's. */
export const BAD_CLIENTS: readonly Misbehaviour[] = [
  { what: "a body of 100 MB", times: 2, isEndless: false, misbehave: sendTooMuch },
  refused("a body of 45 MB of numbers that is cut", 2, post(`{"model":"good","a":[${"1234,".repeat(LARGE_BYTES / 5)}`), "400"),
  refused("a body of 45 MB with an image", 1, post(`{"model":"good","image":"${"A".repeat(LARGE_BYTES)}"}`), "200"),
  refused("a body of 45 MB that is no UTF-8", 1, notUtf8(), "400"),
  refused("a body of 45 MB of escapes", 1, post(`{"model":"good","a":"${'\\"'.repeat(LARGE_BYTES / 2)}"}`), "200"),
  refused("a body in chunks of one byte", 1, inChunksOfOneByte(), "200"),
  refused("no JSON", 1, post("hello"), "400"),
  refused("100,000 levels", 2, post(`{"model":"good","a":${"[".repeat(100_000)}`), "400"),
  refused("1,000 levels", 1, post(`{"model":"good","a":${"[".repeat(1_000)}${"]".repeat(1_000)}}`), "200"),
  refused("a flood of headers", 2, rawPost(CHAT, "{}", FLOOD), "431"),
  refused("no HTTP", 1, Buffer.from("\u0016\u0003\u0001 hello\r\n\r\n"), "400"),
  refused("20 requests in one write", 1, pipelined(20), "200"),
  {
    what: "headers that never end",
    times: 20,
    isEndless: true,
    misbehave: drip(`POST ${CHAT} HTTP/1.1\r\nhost: localhost\r\n`, "x-a: b\r\n"),
  },
  {
    what: "a body that comes byte by byte",
    times: 20,
    isEndless: true,
    misbehave: drip(`${CHUNKED_HEAD}8\r\n{"model"\r\n`, "1\r\n \r\n"),
  },
  { what: "a stream of which one byte is read", times: 5, isEndless: false, misbehave: readOneByte },
];

function post(body: string): Buffer {
  return rawPost(CHAT, body);
}

function inChunksOfOneByte(): Buffer {
  const head = CHUNKED_HEAD.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
  return Buffer.from(`${head}${hexChunk('{"model":"good"')}${"1\r\n \r\n".repeat(SMALL_CHUNKS)}${hexChunk("}")}0\r\n\r\n`);
}

function hexChunk(text: string): string {
  return `${text.length.toString(16)}\r\n${text}\r\n`;
}

function notUtf8(): Buffer {
  return rawPost(
    CHAT,
    Buffer.concat([Buffer.from(`{"model":"good","a":"${"ä".repeat(LARGE_BYTES / 2)}`), Buffer.from([0xc3, 0x22, 0x7d])]),
  );
}

function pipelined(count: number): Buffer {
  const requests = Array.from({ length: count }, (_, index) => {
    return rawPost(CHAT, '{"model":"good"}', index === count - 1 ? ["connection: close"] : []);
  });
  return Buffer.concat(requests);
}

/** Sends these bytes and reads the answer, which has to be of this status. */
function refused(what: string, times: number, bytes: Buffer, status: string): Misbehaviour {
  const misbehave = async (url: string, signal: AbortSignal): Promise<void> => {
    using client = new RawClient(url).read();
    using _ends = endsWith(client, signal);
    const sent = client.send(bytes);
    const answer = await client.end();
    await sent;
    if (!signal.aborted) expectAnswer(what, answer, status);
  };
  return { what, times, isEndless: false, misbehave };
}

/** Sends what no length has announced, and reads why it is refused. */
async function sendTooMuch(url: string, signal: AbortSignal): Promise<void> {
  using client = new RawClient(url).read();
  using _ends = endsWith(client, signal);
  await client.send(CHUNKED_HEAD);
  for (let sent = 0; sent < 100 && !client.socket.destroyed; sent += 1) await client.send(CHUNK);
  if (!signal.aborted) expectAnswer("a body of 100 MB", await client.until("body_too_large"), "413");
}

/** Never comes to an end of its own: some more, twenty times a second. */
function drip(head: string, more: string): Misbehaviour["misbehave"] {
  return async (url, signal) => {
    using client = new RawClient(url).read();
    using _ends = endsWith(client, signal);
    await client.send(head);
    const timer = setInterval(() => void client.send(more), 50);
    await client.end().finally(() => clearInterval(timer));
  };
}

/** For longer than the queen bears it: whoever reads nothing does not see that he was cut off. */
async function readOneByte(url: string, signal: AbortSignal): Promise<void> {
  using client = new RawClient(url);
  using _ends = endsWith(client, signal);
  await client.send(rawPost(CHAT, '{"model":"flood","stream":true}'));
  await until(() => client.socket.read(1) !== null || signal.aborted, 20_000, "the first byte of a stream");
  client.socket.pause();
  await sleep(GIVEN_UP_MS, undefined, { signal }).catch(() => undefined);
}

/** The connection ends with the signal at the latest. */
function endsWith(client: RawClient, signal: AbortSignal): Disposable {
  const end = (): void => void client.socket.destroy();
  signal.addEventListener("abort", end, { once: true });
  if (signal.aborted) end();
  return { [Symbol.dispose]: () => signal.removeEventListener("abort", end) };
}

/** Throws unless the answer is of this status. */
export function expectAnswer(what: string, answer: string, status: string): void {
  if (!answer.startsWith(`HTTP/1.1 ${status} `)) throw new Error(`cannot measure "${what}": ${answer.slice(0, 600)}`);
}
