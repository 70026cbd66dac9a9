import { LinkedList } from "@queen-and-hive/daemon";
import { Pool } from "undici";
import { incarnationKey } from "../dispatch/worker-occupancy.ts";
import type { ReadyWorker } from "../workers/worker-directory.ts";
import { connectorOf } from "./engine-connector.ts";
import { connectEngine } from "./engine-socket.ts";

/** What the pools of all workers are made with. */
export interface EnginePoolsParts {
  readonly connectMs: number;
  /** Told after every change of the number of open connections to the workers of a hive, or to an upstream. */
  readonly connectionsChanged: (server: string, difference: 1 | -1) => void;
}

/** The way to one incarnation of a worker. */
export interface EngineAccess {
  readonly pool: Pool;
  /** Called when the worker is lost. */
  readonly onLost: LinkedList<() => void>;
}

/** The connections to workers: one undici Pool per incarnation, gone with it. */
export class EnginePools {
  readonly #parts: EnginePoolsParts;
  readonly #accesses = new Map<string, EngineAccess>();

  constructor(parts: EnginePoolsParts) {
    this.#parts = parts;
  }

  /** The way to a worker; made at its first request. */
  of(worker: ReadyWorker): EngineAccess {
    const key = incarnationKey(worker);
    const known = this.#accesses.get(key);
    if (known !== undefined) return known;
    const pool = new Pool(worker.url, {
      // Dispatch never gives a worker more requests than it has slots.
      connections: worker.slots,
      pipelining: 1,
      allowH2: false,
      connect: connectorOf({ connect: wayTo(worker) }, this.#parts.connectMs),
      // Our own limits apply; undici's would cut an answer that thinks for five minutes.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
    const server = worker.hiveId ?? worker.workerId;
    pool.on("connect", () => this.#parts.connectionsChanged(server, 1));
    pool.on("disconnect", () => this.#parts.connectionsChanged(server, -1));
    const access = { pool, onLost: new LinkedList<() => void>() };
    this.#accesses.set(key, access);
    const lost = (): void => {
      for (const call of access.onLost.values()) call();
      void this.#drop(key);
    };
    if (worker.lost.aborted) queueMicrotask(lost);
    else worker.lost.addEventListener("abort", lost, { once: true });
    return access;
  }

  /** How many pools there are. */
  get size(): number {
    return this.#accesses.size;
  }

  /** Closes every connection; calls in progress fail. */
  async close(): Promise<void> {
    await Promise.all([...this.#accesses.keys()].map((key) => this.#drop(key)));
  }

  async #drop(key: string): Promise<void> {
    const access = this.#accesses.get(key);
    this.#accesses.delete(key);
    await access?.pool.destroy();
  }
}

function wayTo({ connect, url }: ReadyWorker): ReadyWorker["connect"] {
  return connect ?? (url.startsWith("http:") ? connectEngine : undefined);
}
