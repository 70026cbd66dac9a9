/** What an answer says that it cost. */
export interface TokenUsage {
  readonly promptTokens: number | null;
  readonly completionTokens: number | null;
}

/** `usage` stands near the start (some embeddings) or near the end (all else) of an answer. */
const HEAD_BYTES = 2_048;
const TAIL_BYTES = 4_096;
const FIRST_TAIL_BYTES = 1_024;

/** Keeps the two ends of an answer that passes by, and finds its usage there. */
export class UsageReader {
  #head = "";
  /** The last bytes, up to `#filled`; it grows to twice what is kept, so that they are moved only now and then. */
  #tail: Buffer | null = null;
  #filled = 0;

  /** The next bytes of the answer. The few that matter are copied: a chunk that is kept would outlive its moment, a thousand times. */
  take(chunk: Uint8Array): void {
    if (this.#head.length < HEAD_BYTES) this.#head += latin1(chunk.subarray(0, HEAD_BYTES - this.#head.length));
    const end = chunk.length > TAIL_BYTES ? chunk.subarray(-TAIL_BYTES) : chunk;
    this.#roomFor(end.length).set(end, this.#filled);
    this.#filled += end.length;
  }

  /** The newest usage that was said. */
  read(): TokenUsage {
    const text = `${this.#head}\n${this.#tail?.toString("latin1", 0, this.#filled) ?? ""}`;
    return { promptTokens: lastNumber(text, PROMPT_TOKENS), completionTokens: lastNumber(text, COMPLETION_TOKENS) };
  }

  #roomFor(bytes: number): Buffer {
    this.#tail ??= Buffer.allocUnsafe(FIRST_TAIL_BYTES);
    const tail = this.#tail;
    if (this.#filled + bytes <= tail.length) return tail;
    const keep = Math.min(this.#filled, TAIL_BYTES);
    const isFull = tail.length >= 2 * TAIL_BYTES;
    const next = isFull ? tail : Buffer.allocUnsafe(Math.min(2 * TAIL_BYTES, 2 * (keep + bytes)));
    tail.copy(next, 0, this.#filled - keep, this.#filled);
    this.#filled = keep;
    this.#tail = next;
    return next;
  }
}

// OpenAI's chats and Anthropic's messages (and OpenAI's responses) have a word each. Inside a JSON string the quotes would be
// escaped, so that text which speaks of usage is not taken for it.
const PROMPT_TOKENS = /"(?:prompt|input)_tokens"\s*:\s*([0-9]{1,12})/g;
const COMPLETION_TOKENS = /"(?:completion|output)_tokens"\s*:\s*([0-9]{1,12})/g;

function lastNumber(text: string, pattern: RegExp): number | null {
  let value: string | undefined;
  for (const match of text.matchAll(pattern)) value = match[1];
  return value === undefined ? null : Number(value);
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}
