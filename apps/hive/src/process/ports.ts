import { createServer } from "node:net";
import { errorCodeOf, findPortOwner } from "@queen-and-hive/daemon";
import { QhError } from "@queen-and-hive/protocol";

/** The ports of a range that workers of this hive may have. A port is free when it can really be bound. */
export class PortPool {
  readonly #host: string;
  readonly #first: number;
  readonly #last: number;
  readonly #taken = new Set<number>();
  #cursor: number;

  /** Both ends belong to the range; `host` is the address that engines will bind. */
  constructor(host: string, range: { readonly first: number; readonly last: number }) {
    this.#host = host;
    this.#first = range.first;
    this.#last = range.last;
    this.#cursor = range.first;
  }

  /**
   * Takes `count` neighbouring free ports, the preferred ones when they are free. The search goes round, so that a port
   * that was just given back is used last. Throws `port_in_use`, naming who has them where that can be known.
   */
  async take(count: number, preferred: readonly number[] = []): Promise<readonly number[]> {
    if (preferred.length === count && (await this.#areFree(preferred))) return this.#keep(preferred);
    const size = this.#last - this.#first + 1;
    for (let step = 0; step + count <= size + count - 1; step += 1) {
      const start = this.#first + ((this.#cursor - this.#first + step) % size);
      if (start + count - 1 > this.#last) continue;
      const ports = Array.from({ length: count }, (_, index) => start + index);
      if (!(await this.#areFree(ports))) continue;
      this.#cursor = start + count > this.#last ? this.#first : start + count;
      return this.#keep(ports);
    }
    throw new QhError(
      "port_in_use",
      `cannot find ${count === 1 ? "a free port" : `${count} neighbouring free ports`} in worker_ports ${this.#first}-${this.#last}: ${this.#whoHasThem()}; widen worker_ports`,
      { details: { first: this.#first, last: this.#last } },
    );
  }

  /** Notes ports that a worker has already: one that lived on while no daemon was there. */
  claim(ports: readonly number[]): void {
    for (const port of ports) this.#taken.add(port);
  }

  /** Gives ports back. */
  release(ports: readonly number[]): void {
    for (const port of ports) this.#taken.delete(port);
  }

  async #areFree(ports: readonly number[]): Promise<boolean> {
    if (ports.some((port) => this.#taken.has(port))) return false;
    // Noted while we look, so that a second search at the same time passes them over.
    this.claim(ports);
    let areFree = false;
    try {
      for (const port of ports) if (!(await isPortFree(this.#host, port))) return false;
      areFree = true;
      return true;
    } finally {
      if (!areFree) this.release(ports);
    }
  }

  #keep(ports: readonly number[]): readonly number[] {
    this.claim(ports);
    return ports;
  }

  #whoHasThem(): string {
    const strangers: string[] = [];
    for (let port = this.#first; port <= this.#last && strangers.length < STRANGERS_NAMED; port += 1) {
      if (this.#taken.has(port)) continue;
      const owner = findPortOwner(port);
      strangers.push(
        owner === null ? `${port} by a process of another user` : `${port} by process ${owner.pid} (${owner.command})`,
      );
    }
    const ours = `${this.#taken.size} by workers of this hive`;
    return strangers.length === 0 ? `they are taken: ${ours}` : `they are taken: ${ours}, ${strangers.join(", ")}`;
  }
}

/** Whether nobody listens on a port any more; also where the address has left the machine, and with it whoever listened there. */
export async function isPortLeft(host: string, port: number): Promise<boolean> {
  const code = await bindFailure(host, port);
  return code === null || code === "EADDRNOTAVAIL";
}

/** Whether a port can be bound on this address now. Throws what is not about the port, such as an address that is not ours. */
export async function isPortFree(host: string, port: number): Promise<boolean> {
  const code = await bindFailure(host, port);
  if (code === null) return true;
  if (code === "EADDRINUSE" || code === "EACCES") return false;
  throw new QhError("spawn_failed", `cannot bind ${host}:${port}: ${code}; check worker_host`);
}

const STRANGERS_NAMED = 5;

/** Why a port cannot be bound; null when it can. */
function bindFailure(host: string, port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error) => resolve(errorCodeOf(error) ?? "unknown error"));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(null)));
  });
}
