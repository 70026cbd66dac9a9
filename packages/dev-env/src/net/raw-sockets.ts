import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** A client that is nothing but a socket. */
export class RawClient implements Disposable {
  readonly socket: Socket;
  #received = "";
  #ended = false;
  #waiters: (() => void)[] = [];

  constructor(url: string) {
    const { hostname, port } = new URL(url);
    this.socket = connect(Number(port), hostname);
    this.socket.on("error", () => undefined);
    this.socket.on("close", () => {
      this.#ended = true;
      this.#wake();
    });
  }

  /** Begins to read all that comes; without it nothing is read. */
  read(): this {
    this.socket.on("data", (chunk: Buffer) => {
      this.#received += chunk.toString("latin1");
      this.#wake();
    });
    return this;
  }

  /** Sends, and resolves when the operating system has taken it. */
  send(bytes: string | Buffer): Promise<void> {
    return new Promise((resolve) => void this.socket.write(bytes, () => resolve()));
  }

  /** What has come until a text was in it. Throws when the connection ends before. */
  async until(text: string): Promise<string> {
    while (!this.#received.includes(text)) {
      if (this.#ended) throw new Error(`the connection ended before ${JSON.stringify(text)}: ${this.#received}`);
      await new Promise<void>((resolve) => void this.#waiters.push(resolve));
    }
    return this.#received;
  }

  /** All that has come when the connection ended. */
  async end(): Promise<string> {
    while (!this.#ended) await new Promise<void>((resolve) => void this.#waiters.push(resolve));
    return this.#received;
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }

  #wake(): void {
    for (const waiter of this.#waiters.splice(0)) waiter();
  }
}

/** A request in its bytes; `Connection: close` unless told. */
export function rawPost(path: string, body: string | Buffer, headers: readonly string[] = ["connection: close"]): Buffer {
  const bytes = Buffer.from(body);
  const lines = [
    `POST ${path} HTTP/1.1`,
    "host: localhost",
    "content-type: application/json",
    `content-length: ${bytes.length}`,
    ...headers,
  ];
  return Buffer.concat([Buffer.from(`${lines.join("\r\n")}\r\n\r\n`), bytes]);
}

/** An engine that is nothing but a socket: what it does with a request is the test's. It answers GET (the list of models) well. */
export class RawEngine implements AsyncDisposable {
  /** Called with the connection once a whole request has come. */
  behaviour: (socket: Socket) => void | Promise<void> = (socket) => void socket.destroy();
  /** GET is answered; else its connection is cut. */
  isWell = true;
  /** Requests that were not GET. */
  posts = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor() {
    this.#server = createServer((socket) => this.#serve(socket));
  }

  static async start(): Promise<RawEngine> {
    const engine = new RawEngine();
    await new Promise<void>((resolve) => void engine.#server.listen(0, "127.0.0.1", resolve));
    return engine;
  }

  get url(): string {
    const { port } = this.#server.address() as AddressInfo;
    return `http://127.0.0.1:${port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => void this.#server.close(() => resolve()));
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("error", () => undefined);
    let seen = "";
    socket.on("data", (chunk) => {
      seen += chunk.toString("latin1");
      const [head = "", body] = seen.split("\r\n\r\n", 2);
      if (body === undefined) return;
      const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
      if (seen.length < head.length + 4 + length) return;
      seen = "";
      if (head.startsWith("GET ")) {
        if (this.isWell) socket.end(httpAnswer('{"object":"list","data":[]}'));
        else socket.destroy();
      } else {
        this.posts += 1;
        void this.behaviour(socket);
      }
    });
  }
}

/** A whole answer in its bytes. */
export function httpAnswer(body: string | Buffer, status = "200 OK", type = "application/json"): string {
  return `HTTP/1.1 ${status}\r\ncontent-type: ${type}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body.toString()}`;
}

/** The head of an event stream whose end is the connection's. */
export const STREAM_HEAD = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
