import { copyFileSync, existsSync, renameSync, rmSync, truncateSync } from "node:fs";
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
   * so it goes on at the new end). Older parts move only once the copy is whole. True when it did: positions start anew.
   */
  rotate(): boolean {
    if (this.#view.size() <= this.#limits.bytesMax) return false;
    const isCopied = this.#limits.kept > 0 && this.#try(() => copyFileSync(this.#path, this.#copy));
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
