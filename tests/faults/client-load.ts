import { type ClientRequest, request as httpRequest, type IncomingMessage } from "node:http";

/** How a request ended for its client. */
export interface RequestEnd {
  /**
   * `complete`: whole answer; `error`: a status with our error object, or an error event after the stream began;
   * `refused`: nobody listened; `cut`: the connection ended without either; `hung`: nothing for longer than allowed.
   */
  readonly kind: "complete" | "error" | "refused" | "cut" | "hung";
  /** Milliseconds on the monotonic clock. */
  readonly startedMs: number;
  readonly endedMs: number;
  readonly detail: string;
}

/** Clients that ask one chat after the other, streamed, each on its own connection. */
export interface ClientLoad extends AsyncDisposable {
  readonly ends: readonly RequestEnd[];
  /** Sends no new request; resolves when the last one has ended. */
  stop(): Promise<void>;
}

/** What the clients do. */
export interface ClientLoadOptions {
  readonly url: string;
  readonly model: string;
  readonly clients: number;
  /** How long a request may take until it is called hung, milliseconds. */
  readonly hungMs: number;
}

const PAUSE_MS = 50;

/** Starts the clients. */
export function startClientLoad(options: ClientLoadOptions): ClientLoad {
  const ends: RequestEnd[] = [];
  let isStopped = false;
  const client = async (): Promise<void> => {
    while (!isStopped) {
      ends.push(await askOnce(options));
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  };
  const all = Promise.all(Array.from({ length: options.clients }, client));
  const stop = async (): Promise<void> => {
    isStopped = true;
    await all;
  };
  return { ends, stop, [Symbol.asyncDispose]: stop };
}

/** One streamed chat to its end, whatever that is; never throws. */
export function askOnce({ url, model, hungMs }: Omit<ClientLoadOptions, "clients">): Promise<RequestEnd> {
  const startedMs = performance.now();
  const body = JSON.stringify({ model, stream: true, messages: [{ role: "user", content: "What is a hive?" }] });
  return new Promise((resolve) => {
    let outgoing: ClientRequest | null = null;
    const end = (kind: RequestEnd["kind"], detail: string): void => {
      clearTimeout(timer);
      outgoing?.destroy();
      resolve({ kind, detail, startedMs, endedMs: performance.now() });
    };
    const timer = setTimeout(() => end("hung", `no end within ${hungMs} ms`), hungMs);
    outgoing = httpRequest(new URL("/v1/chat/completions", url), {
      method: "POST",
      agent: false,
      headers: { "content-type": "application/json", "content-length": Buffer.byteLength(body) },
    });
    outgoing.on("error", (error: NodeJS.ErrnoException) => end(error.code === "ECONNREFUSED" ? "refused" : "cut", error.message));
    outgoing.on("response", (response) => {
      readWhole(response).then(
        (text) => {
          const { kind, detail } = judge(response.statusCode ?? 0, text);
          end(kind, detail);
        },
        (error: unknown) => end("cut", String(error)),
      );
    });
    outgoing.end(body);
  });
}

async function readWhole(response: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of response.setEncoding("utf8")) text += String(chunk);
  return text;
}

function judge(status: number, text: string): { readonly kind: RequestEnd["kind"]; readonly detail: string } {
  if (status !== 200) {
    const code = /"error":\{.*"code":"([a-z_]+)"/s.exec(text)?.[1];
    return code === undefined ? { kind: "cut", detail: `status ${status}: ${text}` } : { kind: "error", detail: code };
  }
  const isWhole = text.trimEnd().endsWith("data: [DONE]");
  const code = /"error":\{.*"code":"([a-z_]+)"/s.exec(text)?.[1];
  if (!isWhole) return { kind: "cut", detail: `a stream without [DONE]: ${text.slice(-200)}` };
  return code === undefined ? { kind: "complete", detail: "" } : { kind: "error", detail: code };
}
