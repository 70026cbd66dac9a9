import { closeSync, openSync, readSync, statSync } from "node:fs";

/** How much of a worker's output is kept. */
export interface OutputLimits {
  readonly bytesMax: number;
  /** Older files beside the current one: `output.log.1` is the newest of them. */
  readonly kept: number;
}

/** Bytes of the file; 0 when there is none. */
export function outputSize(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

/** The bytes from a position on, at most `READ_BYTES_MAX` of them; from the beginning when the file is shorter than that. */
export function readOutput(path: string, from: number): { readonly bytes: Buffer; readonly end: number } {
  const size = outputSize(path);
  const start = from > size ? 0 : from;
  const length = Math.min(size - start, READ_BYTES_MAX);
  const bytes = length === 0 ? Buffer.alloc(0) : readBytes(path, start, length);
  return { bytes, end: start + bytes.length };
}

/** The last lines written after position `from`, each cut to 2,000 characters; from the end at most 256 KiB are looked at. */
export function outputTail(path: string, lines: number, from = 0): readonly string[] {
  const size = outputSize(path);
  const begin = from > size ? 0 : from;
  const start = Math.max(begin, size - READ_BYTES_MAX);
  if (size === start) return [];
  const text = readBytes(path, start, size - start).toString("utf8");
  // What was cut at the front is no line.
  const whole = start > begin ? text.slice(text.indexOf("\n") + 1) : text;
  return whole
    .replace(/\n$/, "")
    .split(/\r?\n|\r/)
    .slice(-lines)
    .map((line) => line.slice(0, LINE_CHARACTERS_MAX));
}

const READ_BYTES_MAX = 256 * 1024;
const LINE_CHARACTERS_MAX = 2_000;

function readBytes(path: string, start: number, length: number): Buffer {
  const buffer = Buffer.alloc(length);
  let descriptor: number;
  try {
    descriptor = openSync(path, "r");
  } catch {
    return Buffer.alloc(0);
  }
  try {
    return buffer.subarray(0, readSync(descriptor, buffer, 0, length, start));
  } finally {
    closeSync(descriptor);
  }
}
