import { closeSync, constants, openSync, readSync } from "node:fs";

/**
 * The first bytes of a file in a worker's directory, as latin1. The worker can put anything there: a FIFO without a writer is
 * not waited for, and a large file is not read to its end. Throws what the file system says.
 */
export function readBeginning(path: string, bytesMax: number): string {
  const descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const buffer = Buffer.alloc(bytesMax);
    let length = 0;
    // The kernel's own files come in pieces of a page.
    for (let read = -1; read !== 0 && length < bytesMax; length += read) {
      read = readSync(descriptor, buffer, length, bytesMax - length, null);
    }
    return buffer.toString("latin1", 0, length);
  } finally {
    closeSync(descriptor);
  }
}
