/** What an answer says that it cost. */
export interface TokenUsage {
  readonly promptTokens: number | null;
  readonly completionTokens: number | null;
}

const NOTHING_SAID: TokenUsage = { promptTokens: null, completionTokens: null };

/** `usage` stands near the start (some embeddings) or near the end (all else) of an answer. */
const HEAD_BYTES = 2_048;
const TAIL_BYTES = 4_096;
const FIRST_BYTES = 1_024;
/** Twice the tail, so that what is kept of it is moved only now and then. */
const KEPT_BYTES_MAX = HEAD_BYTES + 2 * TAIL_BYTES;

/** Keeps the two ends of an answer that passes by, and finds its usage there. */
export class UsageReader {
  /** The first bytes of the answer, and its last behind them, up to `#filled`. */
  #kept: Buffer | null = null;
  #filled = 0;
  #hasGap = false;

  /** The next bytes of the answer. The few that matter are copied: a chunk that is kept would outlive its moment, a thousand times. */
  take(chunk: Uint8Array): void {
    const ofHead = Math.max(0, Math.min(chunk.length, HEAD_BYTES - this.#filled));
    if (ofHead === chunk.length) {
      this.#append(chunk);
      return;
    }
    if (ofHead > 0) this.#append(chunk.subarray(0, ofHead));
    const from = Math.max(ofHead, chunk.length - TAIL_BYTES);
    if (from > ofHead) this.#hasGap = true;
    this.#append(from === 0 ? chunk : chunk.subarray(from));
  }

  /** The newest usage that was said. */
  read(): TokenUsage {
    if (this.#kept === null) return NOTHING_SAID;
    const kept = this.#kept.subarray(0, this.#filled);
    if (!kept.includes('_tokens"')) return NOTHING_SAID;
    const text = kept.toString("latin1");
    const parts = this.#hasGap ? `${text.slice(0, HEAD_BYTES)}\n${text.slice(HEAD_BYTES)}` : text;
    let { promptTokens, completionTokens } = NOTHING_SAID;
    for (const [, word, number] of parts.matchAll(TOKENS)) {
      if (word === "prompt" || word === "input") promptTokens = Number(number);
      else completionTokens = Number(number);
    }
    return { promptTokens, completionTokens };
  }

  #append(bytes: Uint8Array): void {
    this.#roomFor(bytes.length).set(bytes, this.#filled);
    this.#filled += bytes.length;
  }

  #roomFor(bytes: number): Buffer {
    this.#kept ??= Buffer.allocUnsafe(FIRST_BYTES);
    const kept = this.#kept;
    const needed = this.#filled + bytes;
    if (needed <= kept.length) return kept;
    const room = kept.length === KEPT_BYTES_MAX ? kept : Buffer.allocUnsafe(Math.min(KEPT_BYTES_MAX, 2 * needed));
    this.#kept = room;
    if (needed <= KEPT_BYTES_MAX) {
      kept.copy(room, 0, 0, this.#filled);
      return room;
    }
    const tail = Math.min(TAIL_BYTES, this.#filled - HEAD_BYTES);
    kept.copy(room, HEAD_BYTES, this.#filled - tail, this.#filled);
    if (room !== kept) kept.copy(room, 0, 0, HEAD_BYTES);
    this.#filled = HEAD_BYTES + tail;
    this.#hasGap = true;
    return room;
  }
}

// OpenAI's chats and Anthropic's messages (and OpenAI's responses) have a word each. Inside a JSON string the quotes would be
// escaped, so that text which speaks of usage is not taken for it.
const TOKENS = /"(prompt|input|completion|output)_tokens"\s*:\s*([0-9]{1,12})/g;
