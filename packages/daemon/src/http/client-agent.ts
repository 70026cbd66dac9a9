import { Agent, type AgentOptions, type ClientRequestArgs } from "node:http";
import type { Duplex } from "node:stream";

/** Opens a connection to a peer another way than by TCP from here. The stream has a socket's methods. */
export type PeerConnect = (address: { readonly host: string; readonly port: number }) => Promise<Duplex>;

/** A host that loses power closes nothing; with this its sockets end after about 11 s (FACTS). */
const TCP_KEEP_ALIVE_MS = 1_000;
const HTTP_PORT = 80;

/** The connections to one peer, kept alive. */
export function createPeerAgent(maxSockets: number, connect: PeerConnect | undefined): Agent {
  const options: AgentOptions = {
    keepAlive: true,
    keepAliveMsecs: TCP_KEEP_ALIVE_MS,
    maxSockets,
    maxFreeSockets: maxSockets,
    scheduling: "lifo",
  };
  return connect === undefined ? new Agent(options) : new ConnectingAgent(options, connect);
}

class ConnectingAgent extends Agent {
  readonly #connect: PeerConnect;

  constructor(options: AgentOptions, connect: PeerConnect) {
    super(options);
    this.#connect = connect;
  }

  override createConnection(
    { host, port }: ClientRequestArgs,
    callback?: (error: Error | null, stream: Duplex) => void,
  ): Duplex | null | undefined {
    this.#connect({ host: host ?? "127.0.0.1", port: Number(port ?? HTTP_PORT) }).then(
      (stream) => callback?.(null, stream),
      (error: unknown) => Reflect.apply(callback ?? (() => undefined), undefined, [asError(error)]),
    );
    return undefined;
  }
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
