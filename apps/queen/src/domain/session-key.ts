/** How much of a body is looked at: longer leads are told apart by their first part. */
const BYTES_MAX = 65_536;
/** How much of a prompt that is one text tells conversations apart; it grows at its end. */
const TEXT_BYTES_MAX = 1_024;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const COMMA = 0x2c;

/** FNV-1a, 32 bits (draft-eastlake-fnv): cheap, and a collision only makes two conversations neighbours. */
const HASH_START = 0x811c9dc5;
const HASH_PRIME = 0x01000193;

/**
 * A number that is the same for all turns of a conversation, from the raw bytes of a request (a valid JSON object, in the
 * chunks in which it came): a hash of its leading messages, up to and including the first one of the user. Later turns only
 * add messages behind these. A prompt that is one text counts with its beginning. Null when the body has neither. One pass
 * over at most 64 KiB, and only of a body in several chunks are these copied.
 */
export function sessionKeyOf(chunks: readonly Uint8Array[]): number | null {
  const [first] = chunks;
  if (first === undefined) return null;
  return new LeadScan(chunks.length === 1 ? first : beginningOf(chunks)).run();
}

/** A number for a session that its client has named: names may be long, and many are remembered. */
export function sessionKeyOfName(name: string): number {
  let hash = HASH_START;
  for (let index = 0; index < name.length; index += 1) hash = Math.imul(hash ^ name.charCodeAt(index), HASH_PRIME);
  return hash >>> 0;
}

/** Names of the outermost fields that hold the conversation, by the OpenAI and Anthropic routes. */
const LEAD_FIELDS: ReadonlySet<string> = new Set(["messages", "input", "prompt"]);

class LeadScan {
  readonly #body: Uint8Array;
  readonly #end: number;
  #index = 0;
  #hash = HASH_START;

  constructor(body: Uint8Array) {
    this.#body = body;
    this.#end = Math.min(body.length, BYTES_MAX);
  }

  run(): number | null {
    let depth = 0;
    let name: string | null = null;
    while (this.#index < this.#end) {
      const byte = this.#body[this.#index] ?? 0;
      if (byte === QUOTE) {
        const start = this.#index;
        this.#skipString();
        if (depth === 1) name = this.#shortText(start);
        continue;
      }
      this.#index += 1;
      if (isOpen(byte)) depth += 1;
      else if (isClose(byte)) depth -= 1;
      else if (byte === COMMA) name = null;
      else if (byte === COLON && depth === 1 && name !== null && LEAD_FIELDS.has(name)) return this.#hashLead();
    }
    return null;
  }

  /** The value of the field that holds the conversation: a list of messages, or one text. */
  #hashLead(): number | null {
    while (isSpace(this.#body[this.#index])) this.#index += 1;
    const start = this.#index;
    const first = this.#body[start];
    if (first === QUOTE) {
      this.#skipString();
      this.#take(start, Math.min(this.#index, start + TEXT_BYTES_MAX));
      return this.#hash >>> 0;
    }
    if (first === undefined || !isOpen(first)) return null;
    this.#index += 1;
    this.#passLeadingMessages();
    this.#take(start, this.#index);
    return this.#hash >>> 0;
  }

  /** Stops behind the first message of the user, or where the list ends. */
  #passLeadingMessages(): void {
    let depth = 1;
    let previous: string | null = null;
    let isUser = false;
    while (this.#index < this.#end) {
      const byte = this.#body[this.#index] ?? 0;
      if (byte === QUOTE) {
        const start = this.#index;
        this.#skipString();
        if (depth !== 2) continue;
        const text = this.#shortText(start);
        if (previous === "role" && text === "user") isUser = true;
        previous = text;
        continue;
      }
      if (isOpen(byte)) depth += 1;
      else if (isClose(byte)) depth -= 1;
      if (depth === 0) return;
      this.#index += 1;
      if (depth === 1 && isUser) return;
    }
  }

  /** From a quote to behind its partner. */
  #skipString(): void {
    let index = this.#index + 1;
    while (index < this.#end && this.#body[index] !== QUOTE) index += this.#body[index] === BACKSLASH ? 2 : 1;
    this.#index = Math.min(index + 1, this.#end);
  }

  /** The text between the quotes that begin at `start`, or null for one that is no field name or role of interest. */
  #shortText(start: number): string | null {
    const bytes = this.#body.subarray(start + 1, this.#index - 1);
    return bytes.length > SHORT_BYTES_MAX ? null : String.fromCharCode(...bytes);
  }

  #take(from: number, to: number): void {
    let hash = this.#hash;
    for (let index = from; index < to; index += 1) hash = Math.imul(hash ^ (this.#body[index] ?? 0), HASH_PRIME);
    this.#hash = hash;
  }
}

const SHORT_BYTES_MAX = 12;

function beginningOf(chunks: readonly Uint8Array[]): Uint8Array {
  const size = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  const beginning = new Uint8Array(Math.min(BYTES_MAX, size));
  let filled = 0;
  for (const chunk of chunks) {
    if (filled === beginning.length) break;
    const part = chunk.subarray(0, beginning.length - filled);
    beginning.set(part, filled);
    filled += part.length;
  }
  return beginning;
}

function isOpen(byte: number): boolean {
  return byte === 0x7b || byte === 0x5b;
}

function isClose(byte: number): boolean {
  return byte === 0x7d || byte === 0x5d;
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}
