import { closeSync, constants, openSync, renameSync, writeSync } from "node:fs";
import type { Log } from "@queen-and-hive/daemon";
import type { OomKills } from "../domain/oom-kills.ts";
import { readBeginning } from "./read-beginning.ts";

/** What one incarnation was last seen like. */
export interface Sighting {
  /** Keys (`pid:start_time`) of its processes. Some of them may be gone. */
  readonly keys: readonly string[];
  /** Its own cgroup; null when it has none. */
  readonly cgroup: string | null;
  /** As they were while it surely lived; null when nobody has looked. */
  readonly oomKills: OomKills | null;
}

/**
 * What was seen of one incarnation, kept for the next daemon of the same boot: in another boot it is about nobody. For that
 * it has to survive the end of a daemon, not of the machine, so nothing waits for the disk. Only what is new is appended, and
 * the dead are dropped when the file is written anew: a worker whose processes change at every look costs one short write a look.
 */
export class Sightings {
  readonly #path: string;
  readonly #bootId: string;
  readonly #log: Pick<Log, "warn">;
  #inFile: InFile | null = null;
  #lines = 0;
  #isFailing = false;

  constructor(path: string, bootId: string, log: Pick<Log, "warn">) {
    this.#path = path;
    this.#bootId = bootId;
    this.#log = log;
  }

  /** What an earlier daemon of this boot has seen; null when there was none, or nothing can be read. */
  recall(): Sighting | null {
    const lines = seenText(this.#path).split("\n");
    // What has no end was cut off while it was written.
    lines.pop();
    if (lines.shift() !== `boot ${this.#bootId}`) return null;
    const valuesOf = (name: string): readonly string[] =>
      lines.filter((line) => line.startsWith(`${name} `)).map((line) => line.slice(name.length + 1));
    const keys = valuesOf("process").filter((key) => /^[0-9]+:[0-9]+$/.test(key));
    const cgroup = valuesOf("cgroup").at(-1) ?? null;
    const oomKills =
      valuesOf("oom_kills")
        .map(countsIn)
        .findLast((counts) => counts !== null) ?? null;
    this.#inFile = { keys: new Set(keys), cgroup, oomKills };
    this.#lines = lines.length + 1;
    return { keys, cgroup, oomKills };
  }

  /** Notes how it is now. A disk that refuses costs what a later daemon would know, and is said once. */
  note(now: Sighting): void {
    const before = this.#inFile;
    const keys = now.keys.slice(-KEYS_MAX);
    const added = keys.filter((key) => before?.keys.has(key) !== true).map((key) => `process ${key}\n`);
    if (!isSame(before?.oomKills ?? null, now.oomKills)) added.push(lineOf(now.oomKills));
    const isNew = before === null || before.cgroup !== now.cgroup;
    if (!isNew && added.length === 0) return;
    try {
      if (before === null || isNew || this.#isFailing || this.#lines + added.length > LINES_MAX) this.#rewrite({ ...now, keys });
      else this.#append(before, { ...now, keys }, added);
      this.#isFailing = false;
    } catch (error) {
      if (!this.#isFailing) this.#log.warn("cannot note a worker's processes for the next daemon", { error, path: this.#path });
      this.#isFailing = true;
    }
  }

  #append(inFile: InFile, { keys, oomKills }: Sighting, added: readonly string[]): void {
    write(this.#path, constants.O_APPEND, added.join(""));
    this.#lines += added.length;
    for (const key of keys) inFile.keys.add(key);
    inFile.oomKills = oomKills;
  }

  #rewrite({ keys, cgroup, oomKills }: Sighting): void {
    const lines = [
      `boot ${this.#bootId}\n`,
      ...(cgroup === null ? [] : [`cgroup ${cgroup}\n`]),
      lineOf(oomKills),
      ...keys.map((key) => `process ${key}\n`),
    ];
    write(`${this.#path}.new`, constants.O_CREAT | constants.O_TRUNC, lines.join(""));
    renameSync(`${this.#path}.new`, this.#path);
    this.#inFile = { keys: new Set(keys), cgroup, oomKills };
    this.#lines = lines.length;
  }
}

interface InFile {
  readonly keys: Set<string>;
  readonly cgroup: string | null;
  oomKills: OomKills | null;
}

/** Keys that are kept: a worker with more processes than this is found by its other marks. */
const KEYS_MAX = 512;
/** So long the file grows before the dead are dropped: about 50 KB. */
const LINES_MAX = 2_048;
/** More than any file of so many lines has. */
const BYTES_MAX = 262_144;
const FILE_MODE = 0o600;

/** Waits for nobody: the worker may have put a FIFO there. */
function write(path: string, flags: number, text: string): void {
  const descriptor = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK | flags, FILE_MODE);
  try {
    const bytes = Buffer.from(text, "latin1");
    if (writeSync(descriptor, bytes) < bytes.length) throw new Error("the disk took only a part of it");
  } finally {
    closeSync(descriptor);
  }
}

function lineOf(counts: OomKills | null): string {
  return counts === null ? "" : `oom_kills ${counts.machine ?? "-"} ${counts.worker ?? "-"}\n`;
}

function countsIn(text: string): OomKills | null {
  const match = /^([0-9]+|-) ([0-9]+|-)$/.exec(text);
  const count = (digits: string | undefined): number | null => (digits === undefined || digits === "-" ? null : Number(digits));
  return match === null ? null : { machine: count(match[1]), worker: count(match[2]) };
}

function isSame(one: OomKills | null, other: OomKills | null): boolean {
  return one?.machine === other?.machine && one?.worker === other?.worker;
}

function seenText(path: string): string {
  try {
    return readBeginning(path, BYTES_MAX);
  } catch {
    // Nothing was seen, or it is lost: the other marks find the processes.
    return "";
  }
}
