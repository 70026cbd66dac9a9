import { once } from "node:events";
import { createServer, request as httpRequest, type IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";

/** What becomes of a hive's answers on their way to the queen. */
export interface Lie {
  /** The body of an answer to a call. */
  readonly body?: (body: string, path: string) => string;
  /** The event stream, one text per event. */
  readonly events?: (events: AsyncIterable<string>) => AsyncIterable<string>;
}

/** A server that passes everything on to a hive, and changes what it answers. */
export interface LyingHive extends AsyncDisposable {
  readonly url: string;
  /** Answers that were changed, event streams included. */
  lies(): number;
}

/** Starts one in front of a hive (`http://host:port`) on a free port of 127.0.0.1. */
export async function startLyingHive(hiveUrl: string, lie: Lie): Promise<LyingHive> {
  let lies = 0;
  const server = createServer((request, response) => {
    const path = request.url ?? "/";
    const to = new URL(path, hiveUrl);
    const call = httpRequest(to, { agent: false, method: request.method, headers: { ...request.headers, host: to.host } });
    call.on("error", () => response.destroy());
    response.on("close", () => call.destroy());
    call.on("response", (answer) => {
      const isStream = answer.headers["content-type"]?.startsWith("text/event-stream") === true;
      const { "content-length": _length, "transfer-encoding": _encoding, ...headers } = answer.headers;
      const give = async (): Promise<void> => {
        lies += 1;
        if (isStream && lie.events !== undefined) {
          response.writeHead(answer.statusCode ?? 502, headers).flushHeaders();
          for await (const event of lie.events(eventsOf(answer))) response.write(`${event}\n\n`);
          response.end();
        } else if (!isStream && lie.body !== undefined) {
          const body = lie.body(await text(answer), path);
          response.writeHead(answer.statusCode ?? 502, headers).end(body);
        } else {
          lies -= 1;
          response.writeHead(answer.statusCode ?? 502, headers).flushHeaders();
          answer.pipe(response);
        }
      };
      give().catch(() => response.destroy());
    });
    request.pipe(call);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  return {
    url: `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`,
    lies: () => lies,
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function* eventsOf(answer: IncomingMessage): AsyncIterable<string> {
  let rest = "";
  for await (const chunk of answer.setEncoding("utf8")) {
    rest += String(chunk);
    const parts = rest.split("\n\n");
    rest = parts.pop() ?? "";
    yield* parts;
  }
}
