import { QhError } from "@queen-and-hive/protocol";
import { isDigit, mayEndNumber, type NumberPart, nextNumberPart, ZERO } from "./json-number.ts";
import { decodeString, isHex, isShortEscape, LETTER_U } from "./json-string.ts";

/** Where something stands in a body, in bytes from its beginning. */
export interface ByteSpan {
  readonly start: number;
  readonly end: number;
}

/** What the gateway needs to know of a body; everything else is the engine's business. */
export interface BodyFields {
  /** The last value of the outermost `model`, when it is a string. */
  readonly model: string | null;
  /** Every string value of an outermost `model`, quotes included. */
  readonly modelSpans: readonly ByteSpan[];
  /** The last value of the outermost `stream` is `true`. */
  readonly wantsStream: boolean;
}

/** Deeper nesting than any engine reads. */
export const JSON_DEPTH_MAX = 10_000;
/** Longest `model` that is remembered, and longest key that is compared; both as they are written. */
const NAME_BYTES_MAX = 4_096;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const MINUS = 0x2d;

type Expects = "value" | "first_key" | "key" | "colon" | "first_item" | "after" | "string" | "escape" | "hex" | "number" | "word";

/**
 * Reads a JSON text (RFC 8259) once, chunk by chunk as it arrives, without building a value of it: checks that it is whole
 * and finds the few outermost fields that the gateway needs. Its memory does not grow with the text.
 */
export class JsonScanner {
  /** One entry per open bracket: whether it is an object. */
  readonly #open: boolean[] = [];
  #expects: Expects = "value";
  #number: NumberPart = "minus";
  #word = "";
  #wordLength = 0;
  #hexLeft = 0;
  #offset = 0;
  #isObject = false;
  #stringIsKey = false;
  /** The bytes of an outermost key or of a `model`, as they are written; null: nobody needs them. */
  #kept: number[] | null = null;
  #stringStart = 0;
  #key: string | null = null;
  #model: string | null = null;
  #modelSpans: ByteSpan[] = [];
  #wantsStream = false;
  #decoder: InstanceType<typeof TextDecoder> | null = null;

  /** The next bytes. Throws `malformed_json` at the first that cannot be part of a JSON text. */
  take(chunk: Uint8Array): void {
    let index = 0;
    while (index < chunk.length) {
      if (this.#expects === "string") index = this.#takeString(chunk, index);
      else if (this.#expects === "number") index = this.#takeNumber(chunk, index);
      else {
        this.#takeByte(chunk[index] ?? 0, this.#offset + index);
        index += 1;
      }
    }
    this.#offset += chunk.length;
    this.#checkUtf8(chunk);
  }

  /** The text is over. Throws `malformed_json` when it is cut, `invalid_body` when it is no object. */
  end(): BodyFields {
    if (this.#expects === "number" && this.#open.length === 0) this.#endNumber();
    if (this.#expects !== "after" || this.#open.length > 0) {
      throw malformed(this.#offset === 0 ? "it is empty" : "it ends before its JSON does");
    }
    this.#decode(new Uint8Array(), false);
    if (!this.#isObject) throw new QhError("invalid_body", "cannot accept the body: it must be a JSON object");
    return { model: this.#model, modelSpans: this.#modelSpans, wantsStream: this.#wantsStream };
  }

  /** Most bytes of large bodies stand in strings. Returns the index of the first byte that was not taken. */
  #takeString(chunk: Uint8Array, start: number): number {
    let index = start;
    let byte = 0;
    for (; index < chunk.length; index += 1) {
      byte = chunk[index] ?? 0;
      if (byte > 0x7f) this.#decoder ??= new TextDecoder("utf-8", { fatal: true });
      else if (byte === BACKSLASH && isShortEscape(chunk[index + 1] ?? 0)) index += 1;
      else if (byte === QUOTE || byte === BACKSLASH || byte < 0x20) break;
    }
    if (this.#kept !== null) for (const kept of chunk.subarray(start, index)) this.#keep(kept);
    if (index === chunk.length) return index;
    if (byte === QUOTE) this.#endString(this.#offset + index + 1);
    else if (byte === BACKSLASH) {
      this.#keep(byte);
      this.#expects = "escape";
    } else throw malformed(`a control character stands in a string at byte ${this.#offset + index}`);
    return index + 1;
  }

  /** Outside of a string's plain text and of numbers. */
  #takeByte(byte: number, at: number): void {
    switch (this.#expects) {
      case "escape":
        this.#takeEscape(byte, at);
        break;
      case "hex":
        if (!isHex(byte)) throw unexpected(byte, at);
        this.#keep(byte);
        this.#hexLeft -= 1;
        if (this.#hexLeft === 0) this.#expects = "string";
        break;
      case "word":
        if (byte !== this.#word.charCodeAt(this.#wordLength)) throw unexpected(byte, at);
        this.#wordLength += 1;
        if (this.#wordLength === this.#word.length) this.#expects = "after";
        break;
      default:
        if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) this.#takeStructure(byte, at);
    }
  }

  #takeStructure(byte: number, at: number): void {
    switch (this.#expects) {
      case "first_key":
        if (byte === CLOSE_OBJECT) this.#close(true, byte, at);
        else this.#beginKey(byte, at);
        break;
      case "key":
        this.#beginKey(byte, at);
        break;
      case "colon":
        if (byte !== COLON) throw unexpected(byte, at);
        this.#expects = "value";
        break;
      case "first_item":
        if (byte === CLOSE_ARRAY) this.#close(false, byte, at);
        else this.#beginValue(byte, at);
        break;
      case "value":
        this.#beginValue(byte, at);
        break;
      default:
        this.#takeAfter(byte, at);
    }
  }

  #takeAfter(byte: number, at: number): void {
    if (this.#open.length === 0) throw unexpected(byte, at);
    if (byte === COMMA) this.#expects = this.#open.at(-1) === true ? "key" : "value";
    else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) this.#close(byte === CLOSE_OBJECT, byte, at);
    else throw unexpected(byte, at);
  }

  #beginKey(byte: number, at: number): void {
    if (byte !== QUOTE) throw unexpected(byte, at);
    this.#stringIsKey = true;
    this.#kept = this.#open.length === 1 ? [] : null;
    this.#expects = "string";
  }

  #beginValue(byte: number, at: number): void {
    const key = this.#open.length === 1 ? this.#key : null;
    if (key === "model") this.#model = null;
    if (key === "stream") this.#wantsStream = byte === 0x74;
    switch (byte) {
      case QUOTE:
        this.#stringIsKey = false;
        this.#kept = key === "model" ? [] : null;
        this.#stringStart = at;
        this.#expects = "string";
        return;
      case OPEN_OBJECT:
      case OPEN_ARRAY:
        if (this.#open.length >= JSON_DEPTH_MAX) throw malformed(`it is nested deeper than ${JSON_DEPTH_MAX} levels`);
        if (this.#open.length === 0) this.#isObject = byte === OPEN_OBJECT;
        this.#open.push(byte === OPEN_OBJECT);
        this.#expects = byte === OPEN_OBJECT ? "first_key" : "first_item";
        return;
      case MINUS:
        this.#number = "minus";
        this.#expects = "number";
        return;
      default:
        if (isDigit(byte)) {
          this.#number = byte === ZERO ? "zero" : "integer";
          this.#expects = "number";
          return;
        }
        this.#word = WORDS[byte] ?? "";
        if (this.#word === "") throw unexpected(byte, at);
        this.#wordLength = 0;
        this.#expects = "word";
    }
  }

  #close(isObject: boolean, byte: number, at: number): void {
    if (this.#open.pop() !== isObject) throw unexpected(byte, at);
    this.#expects = "after";
  }

  #takeEscape(byte: number, at: number): void {
    if (byte !== LETTER_U && !isShortEscape(byte)) throw unexpected(byte, at);
    this.#keep(byte);
    this.#hexLeft = 4;
    this.#expects = byte === LETTER_U ? "hex" : "string";
  }

  /** Returns the index of the first byte that does not belong to the number. */
  #takeNumber(chunk: Uint8Array, start: number): number {
    for (let index = start; index < chunk.length; index += 1) {
      const byte = chunk[index] ?? 0;
      const next = nextNumberPart(this.#number, byte);
      if (next === null) {
        if (!mayEndNumber(this.#number)) throw unexpected(byte, this.#offset + index);
        this.#endNumber();
        return index;
      }
      this.#number = next;
    }
    return chunk.length;
  }

  #endNumber(): void {
    if (!mayEndNumber(this.#number)) throw malformed("it ends inside a number");
    this.#expects = "after";
  }

  #endString(end: number): void {
    const text = this.#kept === null ? null : decodeString(this.#kept);
    this.#kept = null;
    if (this.#stringIsKey) {
      if (this.#open.length === 1) this.#key = checkedKey(text);
      this.#expects = "colon";
      return;
    }
    this.#expects = "after";
    if (text === null) return;
    this.#model = text;
    this.#modelSpans.push({ start: this.#stringStart, end });
  }

  #keep(byte: number): void {
    if (this.#kept === null) return;
    if (this.#kept.length < NAME_BYTES_MAX) this.#kept.push(byte);
  }

  /** Other than in strings no byte above 0x7f is taken at all, so that bodies in plain ASCII are not looked at again. */
  #checkUtf8(chunk: Uint8Array): void {
    if (this.#decoder !== null) this.#decode(chunk, true);
  }

  #decode(chunk: Uint8Array, stream: boolean): void {
    try {
      this.#decoder?.decode(chunk, { stream });
    } catch (cause) {
      throw new QhError("malformed_json", "cannot read the body: it is not UTF-8; send JSON in UTF-8", { cause });
    }
  }
}

/** The other words of JSON without their first letter, by that letter. */
const WORDS: Readonly<Record<number, string>> = { 116: "rue", 102: "alse", 110: "ull" };

/**
 * Engines in Go read `MODEL` as `model` (encoding/json ignores case): a body that says both would let a key that may not use
 * a model reach it.
 */
function checkedKey(key: string | null): string | null {
  if (key === null || key === "model" || key.length !== 5 || key.toLowerCase() !== "model") return key;
  throw new QhError("invalid_body", `cannot accept the body: its field ${key} is model to some engines only; spell it model`);
}

function unexpected(byte: number, at: number): QhError {
  const shown = byte > 0x20 && byte < 0x7f ? JSON.stringify(String.fromCharCode(byte)) : `byte ${byte}`;
  return malformed(`${shown} is not expected at byte ${at}`);
}

function malformed(why: string): QhError {
  return new QhError("malformed_json", `cannot read the body as JSON: ${why}; check its syntax and that it was sent whole`);
}
