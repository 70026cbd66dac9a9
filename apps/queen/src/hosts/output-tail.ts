/** How much of a command's output is kept, bytes; the last ones, for they alone are trusted. */
const OUTPUT_BYTES_MAX = 1_048_576;

/** The last bytes of a stream, cut at a character. */
export class OutputTail {
  readonly #chunks: Buffer[] = [];
  #bytes = 0;

  /** Adds what came; what is too much goes at the front. */
  add(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    while (this.#bytes - (this.#chunks[0]?.length ?? 0) >= OUTPUT_BYTES_MAX) this.#bytes -= this.#chunks.shift()?.length ?? 0;
  }

  /** The bytes as UTF-8. */
  text(): string {
    const bytes = Buffer.concat(this.#chunks);
    let start = Math.max(0, bytes.length - OUTPUT_BYTES_MAX);
    // A character that was cut in two is left out: its further bytes begin with the bits 10 (RFC 3629).
    if (start > 0) while (start < bytes.length && ((bytes[start] ?? 0) & 0b1100_0000) === 0b1000_0000) start += 1;
    return bytes.subarray(start).toString("utf8");
  }
}
