import { closeSync, constants, fstatSync, openSync, readSync, statSync } from "node:fs";
import { type Clock, Deadline } from "@queen-and-hive/daemon";
import { historyTail } from "./output-history.ts";
import { outputSize } from "./output-log.ts";

/** The last lines of a worker's output, then what is written to it. */
export async function* followLog(
  path: string,
  lines: number,
  clock: Clock,
  signal: AbortSignal,
): AsyncGenerator<string | Buffer> {
  // The position first, so that nothing falls between the two; a line that comes right now may come twice.
  const from = outputSize(path);
  yield historyTail(path, lines)
    .map((line) => `${line}\n`)
    .join("");
  yield* followOutput(path, from, clock, signal);
}

/**
 * What is written to a file from position `from` on, as it comes, until the signal: also after it was rotated by copy and
 * truncate (the rest is in `<path>.1`) and after another file has taken its name (another start). Ends by itself when there
 * is no file of that name any more and none comes soon.
 */
async function* followOutput(path: string, from: number, clock: Clock, signal: AbortSignal): AsyncGenerator<Buffer> {
  let position = from;
  let file = open(path);
  try {
    while (!signal.aborted) {
      if (file === null) return;
      if (fstatSync(file).size < position) {
        yield* rest(`${path}.1`, position);
        position = 0;
      }
      const chunk = readFrom(file, position);
      if (chunk.length > 0) {
        position += chunk.length;
        yield chunk;
        continue;
      }
      if (!isSameFile(file, path)) {
        closeSync(file);
        file = await openSoon(path, clock, signal);
        position = 0;
        continue;
      }
      await clock.sleep(LOOK_EVERY_MS, signal).catch(() => undefined);
    }
  } finally {
    if (file !== null) closeSync(file);
  }
}

const LOOK_EVERY_MS = 100;
const NEXT_FILE_MS = 5_000;
const CHUNK_BYTES = 64 * 1024;

/** Between two starts there is no file until the next one begins. */
async function openSoon(path: string, clock: Clock, signal: AbortSignal): Promise<number | null> {
  const end = Deadline.in(NEXT_FILE_MS, clock);
  for (let file = open(path); ; file = open(path)) {
    if (file !== null || end.expired || signal.aborted) return file;
    await clock.sleep(LOOK_EVERY_MS, signal).catch(() => undefined);
  }
}

/** The end of what was rotated away before it could be read; of a flood, what was kept of it, so that lines may be missing. */
function* rest(path: string, position: number): Generator<Buffer> {
  const file = open(path);
  if (file === null) return;
  try {
    let at = position > fstatSync(file).size ? 0 : position;
    for (let chunk = readFrom(file, at); chunk.length > 0; chunk = readFrom(file, at)) {
      at += chunk.length;
      yield chunk;
    }
  } finally {
    closeSync(file);
  }
}

function readFrom(file: number, position: number): Buffer {
  const buffer = Buffer.alloc(CHUNK_BYTES);
  return buffer.subarray(0, readSync(file, buffer, 0, CHUNK_BYTES, position));
}

/** Null when there is no file of that name; the worker may have put a FIFO there, which nobody may wait for. */
function open(path: string): number | null {
  let file: number;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    return null;
  }
  if (fstatSync(file).isFile()) return file;
  closeSync(file);
  return null;
}

function isSameFile(file: number, path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.ino === fstatSync(file).ino;
}
