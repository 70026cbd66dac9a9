import type { Socket } from "node:net";
import { httpAnswer, RawClient, RawEngine, rawPost, STREAM_HEAD } from "@queen-and-hive/dev-env";
import { expectAnswer, type Misbehaviour } from "./bad-clients.ts";

/** Engines that misbehave, and the clients that ask for them. */
export interface BadEngines extends AsyncDisposable {
  /** URL by the name of the model that each has. */
  readonly urls: Readonly<Record<string, string>>;
  readonly misbehaviours: readonly Misbehaviour[];
}

type Behaviour = (socket: Socket) => void;

const EVENT = `data: ${JSON.stringify({ object: "chat.completion.chunk", choices: [{ index: 0, delta: { content: "a" } }] })}\n\n`;
const DONE = "data: [DONE]\n\n";
const MANY = Buffer.from(STREAM_HEAD + EVENT.repeat(100_000) + DONE);
const says =
  (bytes: string | Buffer): Behaviour =>
  (socket) =>
    void socket.end(bytes);

/** What each engine does, and with which status a stream of it begins. */
const ENGINES: readonly (readonly [what: string, behaviour: Behaviour, status: string])[] = [
  ["a page of HTML", says(httpAnswer("<html>welcome</html>", "200 OK", "text/html")), "502"],
  ["half a JSON", says(httpAnswer('{"object":"chat.completion","choices":[')), "502"],
  ["a line of 10 MB", says(`${STREAM_HEAD}${EVENT}data: ${"x".repeat(10_000_000)}\n\n`), "200"],
  ["a stream that is split at every byte", splitAtEveryByte, "200"],
  ["a stream without [DONE]", says(STREAM_HEAD + EVENT), "200"],
  ["100,000 events at once", says(MANY), "200"],
  ["a flood of headers", says(`HTTP/1.1 200 OK\r\nx-flood: ${"x".repeat(100_000)}\r\n\r\n`), "502"],
  ["a reset before the first byte", (socket) => void socket.resetAndDestroy(), "502"],
  ["nothing for ever", () => undefined, "504"],
];

/** Starts the engines; each is one on a socket of its own. */
export async function startBadEngines(): Promise<BadEngines> {
  await using started = new AsyncDisposableStack();
  const urls: Record<string, string> = {};
  const misbehaviours: Misbehaviour[] = [];
  for (const [index, [what, behaviour, status]] of ENGINES.entries()) {
    const engine = started.use(await RawEngine.start());
    engine.behaviour = behaviour;
    const model = `bad-${index}`;
    urls[model] = engine.url;
    misbehaviours.push({
      what: `an engine: ${what}`,
      times: 1,
      isEndless: false,
      misbehave: (url, signal) => ask(url, signal, { what, model, status }),
    });
  }
  const flood = started.use(await RawEngine.start());
  flood.behaviour = keepWriting;
  urls["flood"] = flood.url;
  const all = started.move();
  return { urls, misbehaviours, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

interface Asked {
  readonly what: string;
  readonly model: string;
  readonly status: string;
}

async function ask(url: string, signal: AbortSignal, { what, model, status }: Asked): Promise<void> {
  using client = new RawClient(url).read();
  await client.send(rawPost("/v1/chat/completions", JSON.stringify({ model, messages: [], stream: true })));
  const answer = await client.end();
  if (!signal.aborted) expectAnswer(`an engine: ${what}`, answer, status);
}

function splitAtEveryByte(socket: Socket): void {
  const bytes = Buffer.from(STREAM_HEAD + EVENT.repeat(5) + DONE);
  socket.setNoDelay(true);
  let at = 0;
  const next = (): void => {
    if (socket.destroyed) return;
    if (at === bytes.length) socket.end();
    else socket.write(bytes.subarray(at, ++at), () => setImmediate(next));
  };
  next();
}

/** For as long as somebody takes it. */
function keepWriting(socket: Socket): void {
  const chunk = EVENT.repeat(1_000);
  const write = (): void => {
    if (socket.destroyed) return;
    if (socket.write(chunk)) setImmediate(write);
    else socket.once("drain", write);
  };
  socket.write(STREAM_HEAD, write);
}
