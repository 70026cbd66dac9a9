/** Bytes read from the file at a time: headers with large vocabularies are tens of MiB. */
const CHUNK_BYTES = 1024 * 1024;

/** Fills `target` from `position` on; returns how many bytes there were. */
export type ReadAt = (target: Uint8Array, position: number) => number;

/** The end of the file came before the end of what was read. */
export class EndOfFile extends Error {
  constructor(position: number) {
    super(`the file ends at byte ${position}`);
    this.name = "EndOfFile";
  }
}

/** Reads little-endian numbers and texts forward through a file, and skips what is not wanted without reading it. */
export class FileReader {
  readonly #readAt: ReadAt;
  readonly #size: number;
  readonly #chunk = Buffer.alloc(CHUNK_BYTES);
  #chunkStart = 0;
  #chunkLength = 0;
  #position = 0;

  /** `size` is the length of the file in bytes. */
  constructor(readAt: ReadAt, size: number) {
    this.#readAt = readAt;
    this.#size = size;
  }

  /** Bytes from the beginning of the file. */
  get position(): number {
    return this.#position;
  }

  /** Bytes that are left. */
  get remaining(): number {
    return this.#size - this.#position;
  }

  /** Four bytes as an unsigned number. Throws EndOfFile. */
  uint32(): number {
    return this.#take(4).readUInt32LE(0);
  }

  /** Eight bytes as an unsigned number; beyond 2^53 it is only roughly right, which any check of sizes refuses. Throws EndOfFile. */
  uint64(): number {
    return Number(this.#take(8).readBigUInt64LE(0));
  }

  /** `bytes` bytes as text. Throws EndOfFile. */
  text(bytes: number): string {
    return this.#take(bytes).toString("utf8");
  }

  /** Leaves `bytes` bytes out. Throws EndOfFile. */
  skip(bytes: number): void {
    if (bytes > this.remaining) throw new EndOfFile(this.#size);
    this.#position += bytes;
  }

  #take(bytes: number): Buffer {
    if (bytes > this.remaining || bytes > CHUNK_BYTES) throw new EndOfFile(this.#size);
    const start = this.#position - this.#chunkStart;
    if (start < 0 || start + bytes > this.#chunkLength) this.#fill();
    const from = this.#position - this.#chunkStart;
    if (from + bytes > this.#chunkLength) throw new EndOfFile(this.#size);
    this.#position += bytes;
    return this.#chunk.subarray(from, from + bytes);
  }

  #fill(): void {
    this.#chunkStart = this.#position;
    this.#chunkLength = this.#readAt(this.#chunk, this.#position);
  }
}
