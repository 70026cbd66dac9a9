import type { LlamaModel, Token } from "./llama-library.ts";

/** Tokens of context that the detokenizer gets to decide about spaces. */
const CONTEXT_TOKENS = 16;
/** A character has at most 4 bytes, so more unfinished tokens than this are really broken text. */
const UNFINISHED_TOKENS_MAX = 8;
const REPLACEMENT = "\uFFFD";

/** Turns tokens into text one by one, holding back those that end within a character. */
export class TextAssembler {
  readonly #model: LlamaModel;
  #before: readonly Token[];
  #pending: Token[] = [];

  /** `before` are the tokens that the text continues. */
  constructor(model: LlamaModel, before: readonly Token[]) {
    this.#model = model;
    this.#before = before.slice(-CONTEXT_TOKENS);
  }

  /** The text that became certain with this token. */
  push(token: Token): string {
    this.#pending.push(token);
    const text = this.#model.detokenize(this.#pending, false, this.#before);
    if (text.endsWith(REPLACEMENT) && this.#pending.length < UNFINISHED_TOKENS_MAX) return "";
    this.#settle();
    return text;
  }

  /** The text of an unfinished character at the very end. */
  flush(): string {
    const text = this.#pending.length === 0 ? "" : this.#model.detokenize(this.#pending, false, this.#before);
    this.#settle();
    return text;
  }

  #settle(): void {
    this.#before = [...this.#before, ...this.#pending].slice(-CONTEXT_TOKENS);
    this.#pending = [];
  }
}
