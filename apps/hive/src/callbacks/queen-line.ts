import { createPeer, type Peer } from "@queen-and-hive/daemon";
import { CALLBACK_ENDPOINTS, type HiveIdentity, QhError, unreachable } from "@queen-and-hive/protocol";
import type { Ownership } from "../store/ownership.ts";
import { type DeliveryOutcome, outcomeOfError } from "./delivery-outcome.ts";
import { hiveReadyBody, type OutboxEntry, type Sender, workerExitedBody, workerReadyBody } from "./outbox-entry.ts";
import { Permits } from "./permits.ts";

/** How the queen is called. */
export interface QueenLineOptions {
  readonly ownership: Ownership;
  /** The hive's token, asked for at each try. */
  readonly token: () => string;
  /** Who says it: this daemon. */
  readonly identity: () => HiveIdentity;
  /** How long one try may take. */
  readonly timeoutMs: number;
}

/** How many messages are on their way at the same time. */
const DELIVERIES_AT_ONCE = 16;

/** The way to the owner's newest address. */
export class QueenLine implements AsyncDisposable {
  readonly #options: QueenLineOptions;
  readonly #permits = new Permits(DELIVERIES_AT_ONCE);
  readonly #closed = new AbortController();
  #peer: Peer | null = null;

  constructor(options: QueenLineOptions) {
    this.#options = options;
  }

  /** Tries once to deliver a message to the owner; never rejects for what the network or the queen does. */
  deliver(entry: OutboxEntry, attempt: number): Promise<DeliveryOutcome> {
    return this.#permits.run(async () => {
      try {
        const peer = this.#peerNow();
        if (peer === null) return { kind: "failed", reason: "this hive has no owner" };
        await this.#send(peer, entry, { identity: this.#options.identity(), sequence: entry.sequence, attempt });
        return { kind: "delivered" };
      } catch (error) {
        return outcomeOfError(error);
      }
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort(new QhError("shutting_down", "cannot deliver this now: the hive ends; it stays in the outbox"));
    await this.#peer?.[Symbol.asyncDispose]();
  }

  #peerNow(): Peer | null {
    const url = this.#options.ownership.current?.queen_url ?? null;
    if (this.#peer !== null && this.#peer.url === url) return this.#peer;
    const old = this.#peer;
    const { token, timeoutMs } = this.#options;
    this.#peer = url === null ? null : createPeer({ url, name: "the queen", token, timeoutMs, maxSockets: DELIVERIES_AT_ONCE });
    // What is under way to the old address is not waited for: it is tried again at the new one.
    void old?.[Symbol.asyncDispose]();
    return this.#peer;
  }

  async #send(peer: Peer, { message, queen_id }: OutboxEntry, sender: Sender): Promise<void> {
    const signal = this.#closed.signal;
    switch (message.kind) {
      case "hive_ready":
        await peer.call(CALLBACK_ENDPOINTS.postHiveReady, { body: hiveReadyBody(queen_id, sender), signal });
        return;
      case "worker_ready":
        await peer.call(CALLBACK_ENDPOINTS.postWorkerReady, { body: workerReadyBody(message.body, sender), signal });
        return;
      case "worker_exited":
        await peer.call<typeof CALLBACK_ENDPOINTS.postWorkerExited>(CALLBACK_ENDPOINTS.postWorkerExited, {
          body: workerExitedBody(message.body, sender),
          signal,
        });
        return;
      default:
        unreachable(message);
    }
  }
}
