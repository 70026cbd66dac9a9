/** What an answer says that it cost. */
export interface TokenUsage {
  readonly promptTokens: number | null;
  readonly completionTokens: number | null;
}

/** `usage` stands near the start (some embeddings) or near the end (all else) of an answer. */
const HEAD_BYTES = 2_048;
const TAIL_BYTES = 8_192;

/** Keeps the two ends of an answer that passes by, and finds its usage there. */
export class UsageReader {
  #head = "";
  #tail: Uint8Array[] = [];
  #tailBytes = 0;

  /** The next bytes of the answer; they are kept, not copied. */
  take(chunk: Uint8Array): void {
    if (this.#head.length < HEAD_BYTES) this.#head += latin1(chunk.subarray(0, HEAD_BYTES - this.#head.length));
    const end = chunk.subarray(-TAIL_BYTES);
    this.#tail.push(end);
    this.#tailBytes += end.length;
    for (
      let oldest = this.#tail[0];
      oldest !== undefined && this.#tailBytes - oldest.length >= TAIL_BYTES;
      oldest = this.#tail[0]
    ) {
      this.#tail.shift();
      this.#tailBytes -= oldest.length;
    }
  }

  /** The newest usage that was said. */
  read(): TokenUsage {
    const text = `${this.#head}\n${this.#tail.map(latin1).join("")}`;
    return { promptTokens: lastNumber(text, PROMPT_TOKENS), completionTokens: lastNumber(text, COMPLETION_TOKENS) };
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
