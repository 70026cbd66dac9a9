import { closeSync, openSync, readSync } from "node:fs";
import { StringDecoder } from "node:string_decoder";
import type { Log } from "@queen-and-hive/daemon";
import { OutputView } from "./output-view.ts";

/** Reads what a worker writes from a position on, each byte once, also over rotations of which it is told. */
export class OutputReader implements Disposable {
  readonly #path: string;
  readonly #view: OutputView;
  readonly #decoder = new StringDecoder("utf8");
  /** What was cut off before it was read, oldest first. */
  readonly #parts: { readonly file: number; at: number }[] = [];
  #at: number;

  constructor(path: string, from: number, log: Pick<Log, "warn">) {
    this.#path = path;
    this.#view = new OutputView(path, log);
    this.#at = from;
  }

  /** The next piece, at most 256 KiB; "" when there is nothing more now, also while it cannot be read. */
  next(): string {
    for (let part = this.#parts[0]; part !== undefined; part = this.#parts[0]) {
      const bytes = readFrom(part.file, part.at);
      part.at += bytes.length;
      if (bytes.length > 0) return this.#decoder.write(bytes);
      this.#dropPart();
    }
    const { bytes, end } = this.#view.read(this.#at);
    this.#at = end;
    return this.#decoder.write(bytes);
  }

  /** The file begins anew; `partFrom` as `OutputRotation` tells it. */
  rotated(partFrom: number | null): void {
    const at = Math.max(0, this.#at - (partFrom ?? 0));
    this.#at = 0;
    if (partFrom === null) return;
    try {
      // Held open, since it moves on with the next rotation.
      this.#parts.push({ file: openSync(`${this.#path}.1`, "r"), at });
    } catch {
      // Removed by somebody: nobody can read it any more.
    }
    if (this.#parts.length > PARTS_MAX) this.#dropPart();
  }

  [Symbol.dispose](): void {
    while (this.#parts.length > 0) this.#dropPart();
  }

  #dropPart(): void {
    const part = this.#parts.shift();
    if (part !== undefined) closeSync(part.file);
  }
}

/** How many parts may wait to be read; of a flood that comes faster for so long, the oldest is not read. */
const PARTS_MAX = 4;
const PIECE_BYTES = 256 * 1024;

/** Empty at its end, and where it cannot be read. */
function readFrom(file: number, at: number): Buffer {
  const buffer = Buffer.alloc(PIECE_BYTES);
  try {
    return buffer.subarray(0, readSync(file, buffer, 0, PIECE_BYTES, at));
  } catch {
    return Buffer.alloc(0);
  }
}
