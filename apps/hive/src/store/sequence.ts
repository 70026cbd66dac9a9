import { type Clock, readStateFile, writeFileDurableSync } from "@queen-and-hive/daemon/basics";
import { lazyValidator } from "@queen-and-hive/protocol";
import type { StatePaths } from "./state-paths.ts";

interface SequenceFile {
  readonly reserved: number;
}

/** How many numbers one write to disk reserves; a restart skips what is left of them. */
const RESERVED_AT_ONCE = 1_000;

const validateSequence = lazyValidator<SequenceFile>(
  { type: "object", properties: { reserved: { type: "integer", minimum: 0 } }, required: ["reserved"] },
  "ignore",
);

/** Numbers that grow over the life of a state directory, also across `kill -9`; gaps are allowed. */
export class Sequence {
  /** What was lost with a damaged file, as a sentence; null in a healthy start. */
  readonly loss: string | null;
  readonly #path: string;
  #last: number;
  #reserved: number;

  private constructor(path: string, last: number, loss: string | null) {
    this.#path = path;
    this.#last = last;
    this.#reserved = last;
    this.loss = loss;
  }

  /** Opens the sequence. A damaged file jumps to Unix time in milliseconds, beyond any count. Throws `storage_failed`. */
  static open(paths: StatePaths, clock: Clock): Sequence {
    const content = readStateFile(paths.sequence, validateSequence);
    if (content.kind === "value") return new Sequence(paths.sequence, content.value.reserved, null);
    if (content.kind === "absent") return new Sequence(paths.sequence, 0, null);
    const loss = `the message numbers in ${paths.sequence} were damaged; they go on at the time of day and the damaged file is ${content.keptAs}`;
    return new Sequence(paths.sequence, clock.nowMs(), loss);
  }

  /** The next number; never given out before, whatever crashes. Throws `storage_failed`. */
  next(): number {
    if (this.#last >= this.#reserved) {
      const reserved = this.#last + RESERVED_AT_ONCE;
      writeFileDurableSync(this.#path, `${JSON.stringify({ reserved } satisfies SequenceFile)}\n`);
      this.#reserved = reserved;
    }
    this.#last += 1;
    return this.#last;
  }
}
