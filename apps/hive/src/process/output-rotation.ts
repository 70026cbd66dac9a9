import {
  closeSync,
  existsSync,
  fstatSync,
  ftruncateSync,
  openSync,
  read,
  readSync,
  renameSync,
  rmSync,
  statSync,
  write,
  writeSync,
} from "node:fs";
import { promisify } from "node:util";
import type { Log } from "@queen-and-hive/daemon";
import type { OutputLimits } from "./output-log.ts";
import { OutputView } from "./output-view.ts";

/**
 * Hears that a file of output was cut off and begins anew. `partFrom` is where `<path>.1` begins in what was cut off:
 * null when nothing of it was kept, Infinity when nobody can tell, since pieces are missing in it.
 */
export type OnRotated = (partFrom: number | null) => void;

/** Keeps the output of one worker within limits, at the cost of its history where the disk takes no more. */
export class OutputRotation {
  readonly #path: string;
  readonly #limits: OutputLimits;
  readonly #log: Log;
  readonly #onRotated: OnRotated;
  readonly #view: OutputView;
  #isRotating = false;
  /** What cannot be kept is said once, not at every round. */
  #isLosing = false;

  constructor(path: string, limits: OutputLimits, log: Log, onRotated: OnRotated) {
    this.#path = path;
    this.#limits = limits;
    this.#log = log;
    this.#onRotated = onRotated;
    this.#view = new OutputView(path, log);
  }

  /**
   * Rotates a file that has grown too large by copy and truncate, since the worker keeps its descriptor (opened for appending,
   * so it goes on at the new end). The copy is made in the background, however large it is; a call meanwhile does nothing. Of a
   * flood, which comes faster than it is looked at, only the end is kept. Older parts move only once the copy is whole.
   */
  async rotate(): Promise<void> {
    if (this.#isRotating || this.#view.size() <= this.#limits.bytesMax) return;
    this.#isRotating = true;
    try {
      const file = openSync(this.#path, "r+");
      try {
        await this.#cut(file);
      } finally {
        closeSync(file);
      }
    } catch (error) {
      this.#sayLoss(error);
    } finally {
      this.#isRotating = false;
    }
  }

  get #copy(): string {
    return `${this.#path}.copy`;
  }

  async #cut(file: number): Promise<void> {
    const target = this.#limits.kept > 0 ? this.#try(() => openSync(this.#copy, "w", OUTPUT_MODE)) : null;
    try {
      const copy = target === null ? null : await this.#copyMost(file, target);
      // Nothing waits from here on: nobody reads and nothing is launched in between.
      if (!isNamed(file, this.#path)) return rmSync(this.#copy, { force: true });
      const rest = copy === null ? null : this.#try(() => copyRest(file, copy));
      // Also without a copy, since output must not fill the disk.
      ftruncateSync(file, 0);
      const isKept = rest !== null && this.#try(() => this.#shift()) !== null;
      if (isKept) this.#isLosing = false;
      else this.#try(() => rmSync(this.#copy, { force: true }));
      this.#onRotated(isKept && copy !== null ? (rest.hasGap ? Number.POSITIVE_INFINITY : copy.from) : null);
    } finally {
      if (target !== null) closeSync(target);
    }
  }

  /** Null when the disk does not take it. */
  async #copyMost(file: number, target: number): Promise<BegunCopy | null> {
    try {
      return await copyMost(file, target, this.#limits.bytesMax);
    } catch (error) {
      this.#sayLoss(error);
      return null;
    }
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

  /** Null, said once until it works again, when the disk does not let it. */
  #try<T>(step: () => T): T | null {
    try {
      return step();
    } catch (error) {
      this.#sayLoss(error);
      return null;
    }
  }

  #sayLoss(error: unknown): void {
    if (!this.#isLosing) {
      const path = this.#path;
      this.#log.error("cannot keep the older output of a worker: it is dropped until there is room again", { error, path });
    }
    this.#isLosing = true;
  }
}

/** A copy of all but the newest bytes. */
interface BegunCopy {
  readonly target: number;
  /** Where it begins in the file, and ends so far. */
  readonly from: number;
  readonly to: number;
}

/** A file of more than so many times its limit is a flood; no more is copied of one that grows meanwhile. */
const FLOOD_FACTOR = 4;
const COPY_BYTES = 1_048_576;
/** As the file that the shim writes to. */
const OUTPUT_MODE = 0o600;

/** Copies a file, or of a flood the last bytes, until no more than one piece is left. */
async function copyMost(file: number, target: number, bytesMax: number): Promise<BegunCopy> {
  const { size } = fstatSync(file);
  const from = size > FLOOD_FACTOR * bytesMax ? size - bytesMax : 0;
  const buffer = Buffer.alloc(COPY_BYTES);
  let to = from;
  while (to - from < FLOOD_FACTOR * bytesMax && fstatSync(file).size - to > COPY_BYTES) {
    const { bytesRead } = await readPiece(file, buffer, 0, COPY_BYTES, to);
    if (bytesRead === 0) break;
    for (let done = 0; done < bytesRead; )
      done += (await writePiece(target, buffer, done, bytesRead - done, to - from + done)).bytesWritten;
    to += bytesRead;
  }
  return { target, from, to };
}

const readPiece = promisify(read);
const writePiece = promisify(write);

/**
 * Copies what is left, of a file that grew faster than it was copied the newest bytes, and what is written meanwhile: what
 * comes between the last look and the cut is lost, so that nothing else may lie between the two. Of a flood no more
 * than a piece is copied, since it has no end.
 */
function copyRest(file: number, { target, from, to: begun }: BegunCopy): { readonly hasGap: boolean } {
  let [to, skipped, room] = [begun, 0, COPY_BYTES];
  for (let left = fstatSync(file).size - to; left > 0 && room > 0; left = fstatSync(file).size - to) {
    const length = Math.min(left, room);
    room -= length;
    const at = to + left - length;
    skipped += left - length;
    const buffer = Buffer.allocUnsafe(length);
    const read = readSync(file, buffer, 0, length, at);
    for (let done = 0; done < read; ) done += writeSync(target, buffer, done, read - done, at - from - skipped + done);
    to = at + read;
  }
  return { hasGap: skipped > 0 };
}

/** Whether a file still has this name: the next start puts it aside. */
function isNamed(file: number, path: string): boolean {
  const named = statSync(path, { throwIfNoEntry: false });
  const held = fstatSync(file);
  return named?.ino === held.ino && named.dev === held.dev;
}
