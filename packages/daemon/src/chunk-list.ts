/** So many small chunks become one: a peer that sends byte by byte must not cost a hundred times what it sends. */
const SMALL_CHUNK_BYTES = 4_096;
const SMALL_CHUNKS_MAX = 256;

/** Bytes in the chunks in which they came, so that many are never copied; only long runs of small chunks are put together. */
export class ChunkList {
  #chunks: Buffer[] = [];
  #bytes = 0;
  #small = 0;

  /** How many bytes there are. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Puts a chunk behind the others. */
  add(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    this.#small = chunk.length < SMALL_CHUNK_BYTES ? this.#small + 1 : 0;
    if (this.#small < SMALL_CHUNKS_MAX) return;
    this.#chunks.push(Buffer.concat(this.#chunks.splice(-this.#small)));
    this.#small = 0;
  }

  /** All of them; the list is empty then. */
  takeAll(): readonly Buffer[] {
    const chunks = this.#chunks;
    this.#chunks = [];
    this.#bytes = 0;
    this.#small = 0;
    return chunks;
  }
}
