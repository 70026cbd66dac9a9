import { type FileHandle, open, readFile } from "node:fs/promises";
import { copyAside, errorCodeOf, type Log, writeFileDurable } from "@queen-and-hive/daemon";
import { QhError } from "@queen-and-hive/protocol";
import { type OutboxEntry, validateEntry } from "./outbox-entry.ts";

/** One line of the file: a message came in, or a message is over. */
type OutboxLine = { readonly add: OutboxEntry } | { readonly end: number };

/** What a file held when it was opened. */
export interface OpenedOutbox {
  readonly file: OutboxFile;
  readonly entries: readonly OutboxEntry[];
  /** What was lost with a damaged file, as a sentence; null in a healthy start. */
  readonly loss: string | null;
}

interface Waiting {
  readonly text: string;
  readonly settle: PromiseWithResolvers<void>;
}

/** How many lines the file has at least before it is written anew with only what still waits, and how many times what waits. */
const LINES_MAX = 2_000;
const LINES_PER_ENTRY = 2;

/** The outbox on disk: lines appended in groups, each group with one fdatasync; rewritten now and then. */
export class OutboxFile {
  readonly #path: string;
  readonly #log: Log;
  /** What waits now; asked for when the file is written anew. */
  #entries: () => Iterable<OutboxEntry> = () => [];
  #handle: FileHandle;
  #waiting: Waiting[] = [];
  #writing: Promise<void> | null = null;
  #lines: number;
  #linesMax = LINES_MAX;
  /** After a failed write the end of the file is unknown, so the next one replaces it. */
  #damaged = false;

  private constructor(path: string, log: Log, handle: FileHandle, lines: number) {
    this.#path = path;
    this.#log = log;
    this.#handle = handle;
    this.#lines = lines;
  }

  /** Opens the file. Unreadable lines are set aside with the whole file; the rest goes on. Throws `storage_failed`. */
  static async open(path: string, log: Log): Promise<OpenedOutbox> {
    const text = await readIfThere(path);
    const { entries, bad, torn } = parseLines(text);
    let loss: string | null = null;
    if (bad > 0)
      loss = `the outbox ${path} had ${bad} damaged line(s), kept as ${copyAside(path)}; ${entries.length} message(s) could be read and are kept`;
    if (bad > 0 || torn) await writeFileDurable(path, linesOf(entries));
    const handle = await open(path, "a", 0o600).catch((cause: unknown) => {
      throw storageFailed(path, cause);
    });
    return { file: new OutboxFile(path, log, handle, text.split("\n").length), entries, loss };
  }

  /** Tells where to ask for what waits. */
  keep(entries: () => Iterable<OutboxEntry>): void {
    this.#entries = entries;
  }

  /** Writes that a message came in; on disk when this resolves. Rejects with `storage_failed`. */
  add(entry: OutboxEntry): Promise<void> {
    return this.#append({ add: entry });
  }

  /** Writes that messages are over. Never rejects: at worst they are delivered again, which has no effect. */
  async end(sequences: readonly number[]): Promise<void> {
    try {
      await Promise.all(sequences.map((sequence) => this.#append({ end: sequence })));
    } catch (error) {
      this.#log.error("cannot note delivered messages in the outbox; they will be delivered again after a restart", { error });
    }
  }

  /** Writes out what waits and closes the file. */
  async close(): Promise<void> {
    while (this.#writing !== null) await this.#writing;
    await this.#handle.close();
  }

  #append(line: OutboxLine): Promise<void> {
    const settle = Promise.withResolvers<void>();
    this.#waiting.push({ text: `${JSON.stringify(line)}\n`, settle });
    this.#writing ??= this.#writeAll();
    return settle.promise;
  }

  async #writeAll(): Promise<void> {
    // Everything of this turn of the event loop shares one write.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const group = this.#waiting;
      this.#waiting = [];
      try {
        if (this.#damaged || this.#lines + group.length > this.#linesMax) await this.#rewrite();
        else await this.#write(group);
        for (const { settle } of group) settle.resolve();
      } catch (cause) {
        this.#damaged = true;
        const error = storageFailed(this.#path, cause);
        for (const { settle } of group) settle.reject(error);
      }
    }
    this.#writing = null;
  }

  async #write(group: readonly Waiting[]): Promise<void> {
    await this.#handle.appendFile(group.map(({ text }) => text).join(""));
    await this.#handle.datasync();
    this.#lines += group.length;
  }

  /** What waits in memory already has the lines of this group: messages come and go there first. */
  async #rewrite(): Promise<void> {
    const entries = [...this.#entries()];
    await writeFileDurable(this.#path, linesOf(entries));
    const old = this.#handle;
    this.#handle = await open(this.#path, "a", 0o600);
    this.#lines = entries.length;
    // Else every message would write all of many that wait.
    this.#linesMax = Math.max(LINES_MAX, LINES_PER_ENTRY * entries.length);
    this.#damaged = false;
    await old.close();
  }
}

function linesOf(entries: readonly OutboxEntry[]): string {
  return entries.map((entry) => `${JSON.stringify({ add: entry } satisfies OutboxLine)}\n`).join("");
}

function parseLines(text: string): { readonly entries: readonly OutboxEntry[]; readonly bad: number; readonly torn: boolean } {
  const lines = text.split("\n");
  // A last line without its end was never acknowledged: a crash in the middle of a write is no damage.
  const torn = lines.pop() !== "";
  const entries = new Map<number, OutboxEntry>();
  let bad = 0;
  for (const line of lines) {
    const parsed = parseLine(line);
    if (parsed === null) bad += 1;
    else if ("add" in parsed) entries.set(parsed.add.sequence, parsed.add);
    else entries.delete(parsed.end);
  }
  return { entries: [...entries.values()].sort((left, right) => left.sequence - right.sequence), bad, torn };
}

function parseLine(line: string): OutboxLine | null {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return null;
  }
  if (typeof value !== "object" || value === null) return null;
  if ("end" in value) return typeof value.end === "number" ? { end: value.end } : null;
  const checked = validateEntry("add" in value ? value.add : undefined);
  return checked.ok ? { add: checked.value } : null;
}

async function readIfThere(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    if (errorCodeOf(cause) === "ENOENT") return "";
    throw storageFailed(path, cause);
  }
}

function storageFailed(path: string, cause: unknown): QhError {
  if (cause instanceof QhError) return cause;
  const code = errorCodeOf(cause) ?? "unknown error";
  return new QhError("storage_failed", `cannot write the outbox ${path}: ${code}; free some space or check its owner`, { cause });
}
