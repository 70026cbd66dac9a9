import { closeSync, existsSync, fstatSync, openSync, readSync, renameSync, rmSync, truncateSync, writeSync } from "node:fs";
import type { Log } from "@queen-and-hive/daemon";
import type { OutputLimits } from "./output-log.ts";
import { OutputView } from "./output-view.ts";

/** Keeps the output of one worker within limits, at the cost of its history where the disk takes no more. */
export class OutputRotation {
  readonly #path: string;
  readonly #limits: OutputLimits;
  readonly #log: Log;
  readonly #view: OutputView;
  /** What cannot be kept is said once, not at every round. */
  #isLosing = false;

  constructor(path: string, limits: OutputLimits, log: Log) {
    this.#path = path;
    this.#limits = limits;
    this.#log = log;
    this.#view = new OutputView(path, log);
  }

  /**
   * Rotates a file that has grown too large by copy and truncate, since the worker keeps its descriptor (opened for appending,
   * so it goes on at the new end). Of a flood, which came faster than it was looked at, only the end is kept. Older parts move
   * only once the copy is whole. True when it did: positions start anew.
   */
  rotate(): boolean {
    if (this.#view.size() <= this.#limits.bytesMax) return false;
    const isCopied = this.#limits.kept > 0 && this.#try(() => copyEnd(this.#path, this.#copy, this.#limits.bytesMax));
    // At once, since what is written in between is lost; also without a copy, since output must not fill the disk.
    if (!this.#try(() => truncateSync(this.#path, 0))) return false;
    if (isCopied && this.#try(() => this.#shift())) this.#isLosing = false;
    else this.#try(() => rmSync(this.#copy, { force: true }));
    return true;
  }

  get #copy(): string {
    return `${this.#path}.copy`;
  }

  #shift(): void {
    const { kept } = this.#limits;
    for (let number = kept; number >= 1; number -= 1) {
      const older = `${this.#path}.${number}`;
      if (number === kept) rmSync(older, { force: true });
      else if (existsSync(older)) renameSync(older, `${this.#path}.${number + 1}`);
    }
    renameSync(this.#copy, `${this.#path}.1`);
  }

  /** False, said once until it works again, when the disk does not let it. */
  #try(step: () => void): boolean {
    try {
      step();
      return true;
    } catch (error) {
      if (!this.#isLosing) {
        const path = this.#path;
        this.#log.error("cannot keep the older output of a worker: it is dropped until there is room again", { error, path });
      }
      this.#isLosing = true;
      return false;
    }
  }
}

/** A file of more than so many times its limit is a flood. */
const FLOOD_FACTOR = 4;

/** Copies a file, or of a flood the last bytes. */
function copyEnd(from: string, to: string, bytesMax: number): void {
  const source = openSync(from, "r");
  try {
    const target = openSync(to, "w", OUTPUT_MODE);
    try {
      const buffer = Buffer.alloc(COPY_BYTES);
      // Up to its present end, or a writer that is as fast as this would keep it going.
      const end = fstatSync(source).size;
      for (let position = end > FLOOD_FACTOR * bytesMax ? end - bytesMax : 0; position < end; ) {
        const length = readSync(source, buffer, 0, Math.min(COPY_BYTES, end - position), position);
        if (length === 0) return;
        for (let done = 0; done < length; ) done += writeSync(target, buffer, done, length - done);
        position += length;
      }
    } finally {
      closeSync(target);
    }
  } finally {
    closeSync(source);
  }
}

const COPY_BYTES = 1_048_576;
/** As the file that the shim writes to. */
const OUTPUT_MODE = 0o600;
