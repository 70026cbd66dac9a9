import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";

/** One request as the engine saw it. */
export interface EngineCall {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly body: string;
  /** Resolves when the connection of this call was closed before its answer was complete. */
  readonly aborted: Promise<void>;
}

/** What the engine does with a call. */
export type EngineBehaviour = (call: EngineCall) => void | Promise<void>;

/** An OpenAI-like engine on a real socket whose behaviour a test sets. */
export class TestEngine implements AsyncDisposable {
  readonly calls: EngineCall[] = [];
  readonly sockets = new Set<Socket>();
  behaviour: EngineBehaviour;
  readonly #server: Server;
  readonly #waiters: (() => void)[] = [];
  connectionsMade = 0;

  private constructor(behaviour: EngineBehaviour) {
    this.behaviour = behaviour;
    this.#server = createServer((request, response) => void this.#serve(request, response));
    this.#server.on("connection", (socket) => {
      this.connectionsMade += 1;
      this.sockets.add(socket);
      socket.on("close", () => this.sockets.delete(socket));
    });
  }

  static async start(behaviour: EngineBehaviour, { host = "127.0.0.1", port = 0 } = {}): Promise<TestEngine> {
    const engine = new TestEngine(behaviour);
    await new Promise<void>((resolve, reject) => {
      engine.#server.once("error", reject);
      engine.#server.listen(port, host, resolve);
    });
    return engine;
  }

  get url(): string {
    const { address, port } = this.#server.address() as AddressInfo;
    return `http://${address}:${port}`;
  }

  /** Resolves with the call of this number (from 1) once its body was read. */
  async call(number: number): Promise<EngineCall> {
    for (;;) {
      const call = this.calls[number - 1];
      if (call !== undefined) return call;
      await new Promise<void>((resolve) => void this.#waiters.push(resolve));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => void this.#server.close(() => resolve()));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const aborted = new Promise<void>((resolve) => {
      response.on("close", () => {
        if (!response.writableFinished) resolve();
      });
    });
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request) chunks.push(chunk as Buffer);
    } catch {
      return;
    }
    const call: EngineCall = { request, response, body: Buffer.concat(chunks).toString(), aborted };
    this.calls.push(call);
    for (const waiter of this.#waiters.splice(0)) waiter();
    await this.behaviour(call);
  }
}

/** One event of a chat stream. */
export function token(text: string): string {
  return `data: ${JSON.stringify({ object: "chat.completion.chunk", choices: [{ index: 0, delta: { content: text } }] })}\n\n`;
}

/** The end of every stream. */
export const DONE = "data: [DONE]\n\n";

/** Begins an event stream. */
export function beginEvents(response: ServerResponse): void {
  response.writeHead(200, { "content-type": "text/event-stream", "access-control-allow-origin": "*" });
}

/** Streams these events and ends. */
export function streams(...events: readonly string[]): EngineBehaviour {
  return ({ response }) => {
    beginEvents(response);
    for (const event of events) response.write(event);
    response.end();
  };
}

/** Answers with a status and a JSON body. */
export function answers(status: number, body: unknown): EngineBehaviour {
  return ({ response }) => {
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify(body));
  };
}

/** A whole chat completion. */
export const COMPLETION = {
  object: "chat.completion",
  choices: [{ index: 0, message: { role: "assistant", content: "a hive is a home" }, finish_reason: "stop" }],
  usage: { prompt_tokens: 5, completion_tokens: 7, total_tokens: 12 },
};

/** Never answers. */
export const silence: EngineBehaviour = () => undefined;
