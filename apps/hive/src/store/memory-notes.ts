import { readFileSync } from "node:fs";
import { type Clock, errorCodeOf, writeFileDurable } from "@queen-and-hive/daemon/basics";
import { compileValidator } from "@queen-and-hive/protocol";

interface Note {
  readonly key: string;
  /** On the device where it took the most. */
  readonly bytes: number;
  /** ISO 8601. */
  readonly time: string;
}

/** What models really took on this host, by what they were started with; kept on disk. Losing it costs estimates, nothing else. */
export class MemoryNotes {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #notes: Map<string, Note>;
  #writing: Promise<void> = Promise.resolve();

  private constructor(path: string, clock: Clock, notes: readonly Note[]) {
    this.#path = path;
    this.#clock = clock;
    this.#notes = new Map(notes.map((note) => [note.key, note]));
  }

  /** Reads what is kept in `path`; a missing or damaged file is an empty one. */
  static open(path: string, clock: Clock): MemoryNotes {
    return new MemoryNotes(path, clock, readNotes(path));
  }

  /** The most that a worker of this kind took on one device, in bytes; null when none has run yet. */
  get(key: string): number | null {
    return this.#notes.get(key)?.bytes ?? null;
  }

  /**
   * Notes a measurement; only growth that matters is written, since what a model took once it may take again. Rejects when it
   * cannot be written.
   */
  async note(key: string, bytes: number): Promise<void> {
    const known = this.get(key);
    if (known !== null && bytes <= known * (1 + GROWTH_RATIO)) return;
    this.#notes.delete(key);
    this.#notes.set(key, { key, bytes, time: new Date(this.#clock.nowMs()).toISOString() });
    for (const oldest of this.#notes.keys()) {
      if (this.#notes.size <= NOTES_MAX) break;
      this.#notes.delete(oldest);
    }
    const text = JSON.stringify({ version: 1, notes: [...this.#notes.values()] });
    // One after the other, so that the newest is what stays.
    this.#writing = this.#writing.catch(() => undefined).then(() => writeFileDurable(this.#path, text));
    await this.#writing;
  }
}

const NOTES_MAX = 500;
const GROWTH_RATIO = 0.02;

const validate = compileValidator<{ readonly version: 1; readonly notes: readonly Note[] }>(
  {
    type: "object",
    properties: {
      version: { const: 1 },
      notes: {
        type: "array",
        items: {
          type: "object",
          properties: { key: { type: "string" }, bytes: { type: "integer", minimum: 0 }, time: { type: "string" } },
          required: ["key", "bytes", "time"],
        },
      },
    },
    required: ["version", "notes"],
  },
  "ignore",
);

function readNotes(path: string): readonly Note[] {
  try {
    const checked = validate(JSON.parse(readFileSync(path, "utf8")));
    return checked.ok ? checked.value.notes : [];
  } catch (error) {
    if (error instanceof SyntaxError || errorCodeOf(error) === "ENOENT") return [];
    throw error;
  }
}
