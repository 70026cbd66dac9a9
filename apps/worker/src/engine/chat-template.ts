import { QhError } from "@queen-and-hive/protocol";
import type { ChatMessage } from "../domain/generation.ts";
import type { ChatHistoryItem, ChatWrapper, LlamaLibrary, LlamaModel, Token } from "./llama-library.ts";

/** A chat as the model wants to see it, and what its answer ends with. */
export interface RenderedChat {
  readonly tokens: readonly Token[];
  readonly stopTokens: ReadonlySet<Token>;
  readonly stopTexts: readonly string[];
}

/** Renders chats with the template in the model file; with llama.cpp's guess for models that have none. */
export class ChatTemplate {
  readonly #library: LlamaLibrary;
  readonly #model: LlamaModel;
  readonly #wrapper: ChatWrapper;

  constructor(library: LlamaLibrary, model: LlamaModel) {
    this.#library = library;
    this.#model = model;
    this.#wrapper = chooseWrapper(library, model);
  }

  /** Control tokens in the messages' texts are text, never control. Throws `invalid_body` when the template refuses the messages. */
  render(messages: readonly ChatMessage[]): RenderedChat {
    const chatHistory: ChatHistoryItem[] = [...messages.map(historyItem), { type: "model", response: [] }];
    const state = this.#generate(chatHistory);
    const stopTokens = new Set<Token>();
    const stopTexts: string[] = [];
    for (const trigger of state.stopGenerationTriggers) {
      const text = this.#library.LlamaText(trigger);
      const [first] = text.tokenize(this.#model.tokenizer);
      // Triggers begin with the control token that ends a turn, or are plain text in models without such tokens.
      if (first !== undefined && this.#model.isSpecialToken(first)) stopTokens.add(first);
      else stopTexts.push(text.toString());
    }
    return { tokens: state.contextText.tokenize(this.#model.tokenizer), stopTokens, stopTexts };
  }

  #generate(chatHistory: ChatHistoryItem[]): ReturnType<ChatWrapper["generateContextState"]> {
    try {
      return this.#wrapper.generateContextState({ chatHistory });
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new QhError(
        "invalid_body",
        `cannot write these messages with the model's chat template: ${why}: change their roles or order`,
        {
          param: "/messages",
          cause: error,
        },
      );
    }
  }
}

/** The file's own template directly: comparing it with all templates that the library knows blocks for a second. */
function chooseWrapper(library: LlamaLibrary, model: LlamaModel): ChatWrapper {
  const template = model.fileInfo.metadata.tokenizer?.chat_template;
  if (typeof template === "string" && template !== "") {
    try {
      return new library.JinjaTemplateChatWrapper({ template, tokenizer: model.tokenizer, reasoning: null });
    } catch {
      // A template beyond the library's Jinja: its guess from the architecture and the name is the next best.
    }
  }
  return library.resolveChatWrapper(model, { warningLogs: false, noJinja: true }) ?? new library.GeneralChatWrapper();
}

function historyItem(message: ChatMessage): ChatHistoryItem {
  switch (message.role) {
    case "system":
      return { type: "system", text: message.text };
    case "user":
      return { type: "user", text: message.text };
    case "assistant":
      return { type: "model", response: [message.text] };
  }
}
