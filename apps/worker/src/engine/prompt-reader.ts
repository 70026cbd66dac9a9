import { QhError } from "@queen-and-hive/protocol";
import type { Prompt } from "../domain/generation.ts";
import { ChatTemplate } from "./chat-template.ts";
import type { LlamaLibrary, LlamaModel, Token } from "./llama-library.ts";

/** A prompt in the model's own tokens. */
export interface ReadPrompt {
  readonly tokens: readonly Token[];
  readonly stopTokens: ReadonlySet<Token>;
  readonly stopTexts: readonly string[];
  /** Whether the answer begins anew, so that white space before it means nothing. */
  readonly startsAnew: boolean;
}

/** Turns prompts into tokens. */
export class PromptReader {
  readonly #model: LlamaModel;
  readonly #template: ChatTemplate;
  #vocabulary: ReadonlyMap<number, Token> | null = null;

  constructor(library: LlamaLibrary, model: LlamaModel) {
    this.#model = model;
    this.#template = new ChatTemplate(library, model);
  }

  /** Throws `invalid_body` for messages that the template refuses and tokens that the model does not have. */
  read(prompt: Prompt): ReadPrompt {
    switch (prompt.kind) {
      case "chat":
        return { ...this.#template.render(prompt.messages), startsAnew: true };
      case "text":
        return this.#plain(this.#withBeginning(this.#model.tokenize(prompt.text, true)));
      case "tokens":
        return this.#plain(this.parseTokens(prompt.tokens, "/prompt"));
    }
  }

  /** Numbers of a client -> tokens of this model. Throws `invalid_body`. */
  parseTokens(numbers: readonly number[], param: string): Token[] {
    this.#vocabulary ??= new Map([...this.#model.iterateAllTokens()].map((token) => [token, token]));
    const vocabulary = this.#vocabulary;
    return numbers.map((number) => {
      const token = vocabulary.get(number);
      if (token !== undefined) return token;
      throw new QhError("invalid_body", `cannot use the token ${number}: this model has the tokens 0 to ${vocabulary.size - 1}`, {
        param,
      });
    });
  }

  #plain(tokens: readonly Token[]): ReadPrompt {
    return { tokens, stopTokens: new Set(), stopTexts: [], startsAnew: false };
  }

  #withBeginning(tokens: readonly Token[]): readonly Token[] {
    const { bos, shouldPrependBosToken } = this.#model.tokens;
    // An empty prompt still needs one token to continue from.
    if (bos === null || tokens[0] === bos || (!shouldPrependBosToken && tokens.length > 0)) return tokens;
    return [bos, ...tokens];
  }
}
