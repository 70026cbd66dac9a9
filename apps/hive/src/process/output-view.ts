import type { Log } from "@queen-and-hive/daemon";
import { outputSize, readOutput } from "./output-log.ts";

/**
 * A worker's output, for those who look at it again and again. Whatever the file system says, a look never throws: output
 * that cannot be read is as output to which nothing was added, and that is said once until it can be read again.
 */
export class OutputView {
  readonly #path: string;
  readonly #log: Pick<Log, "warn">;
  #sizeBefore = 0;
  /** What has failed since it last went well. */
  #failing: "size" | "read" | null = null;

  constructor(path: string, log: Pick<Log, "warn">) {
    this.#path = path;
    this.#log = log;
  }

  /** Bytes of the file, 0 when there is none; what it was before while it cannot be looked at. */
  size(): number {
    this.#sizeBefore = this.#try("size", () => outputSize(this.#path), this.#sizeBefore);
    return this.#sizeBefore;
  }

  /** The bytes from a position on, as `readOutput`; none while they cannot be read. */
  read(from: number): { readonly bytes: Buffer; readonly end: number } {
    return this.#try("read", () => readOutput(this.#path, from), { bytes: Buffer.alloc(0), end: from });
  }

  #try<T>(what: "size" | "read", look: () => T, otherwise: T): T {
    try {
      const seen = look();
      if (this.#failing === what) this.#failing = null;
      return seen;
    } catch (error) {
      if (this.#failing === null)
        this.#log.warn("cannot read a worker's output; it counts as silent", { error, path: this.#path });
      this.#failing ??= what;
      return otherwise;
    }
  }
}
