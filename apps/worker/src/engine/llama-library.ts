declare const brand: unique symbol;

/** A token of the loaded model; only the library and `PromptReader.parseTokens` make them. */
export type Token = number & { readonly [brand]: "Token" };

/** A text that keeps control tokens apart from plain text. */
interface LlamaText {
  tokenize(tokenizer: Tokenizer): Token[];
  toString(): string;
}

/** The model's tokenizer, as chat templates take it. */
interface Tokenizer {
  readonly detokenize: unknown;
}

/** One turn of a chat. */
export type ChatHistoryItem =
  | { readonly type: "system" | "user"; readonly text: string }
  | { readonly type: "model"; readonly response: readonly string[] };

/** Writes a chat as a model wants to see it. Throws what the template raises. */
export interface ChatWrapper {
  generateContextState(options: { readonly chatHistory: readonly ChatHistoryItem[] }): {
    readonly contextText: LlamaText;
    readonly stopGenerationTriggers: readonly LlamaText[];
  };
}

/** A loaded model. */
export interface LlamaModel {
  readonly llama: Llama;
  readonly tokenizer: Tokenizer;
  readonly tokens: { readonly bos: Token | null; readonly shouldPrependBosToken: boolean };
  readonly gpuLayers: number;
  readonly fileInfo: { readonly metadata: { readonly tokenizer?: { readonly chat_template?: unknown } } };
  tokenize(text: string, specialTokens?: boolean): Token[];
  detokenize(tokens: readonly Token[], specialTokens: boolean, lastTokens: readonly Token[]): string;
  isSpecialToken(token: Token): boolean;
  iterateAllTokens(): Iterable<Token>;
  createContext(options: {
    readonly sequences: number;
    readonly contextSize: { readonly max: number };
    readonly threads: number;
    readonly createSignal: AbortSignal;
  }): Promise<LlamaContext>;
  createEmbeddingContext(options: { readonly contextSize: number; readonly threads: number }): Promise<LlamaEmbeddingContext>;
}

/** The memory of several sequences that are evaluated together. */
export interface LlamaContext {
  readonly contextSize: number;
  readonly batchSize: number;
  readonly totalSequences: number;
  getSequence(): LlamaContextSequence;
}

/** How the next token is chosen. */
export interface SequenceEvaluateOptions {
  readonly temperature: number;
  readonly topP: number;
  readonly topK: number;
  readonly minP: number;
  /** An unsigned integer of 32 bits. */
  readonly seed: number;
  /** Yields the tokens with which the model ends its text, and goes on after them. */
  readonly yieldEogToken: boolean;
  readonly repeatPenalty?: {
    readonly punishTokens: () => Token[];
    readonly maxPunishTokens: number;
    readonly penalty: number;
    readonly presencePenalty: number;
    readonly frequencyPenalty: number;
  };
}

/** One text in the memory of a context; `nextTokenIndex` is its length in tokens. */
export interface LlamaContextSequence {
  readonly model: LlamaModel;
  readonly context: LlamaContext;
  readonly contextSize: number;
  readonly nextTokenIndex: number;
  compareContextTokens(tokens: readonly Token[]): { readonly firstDifferentIndex: number };
  /** Without shifting: forgets everything behind the longest common beginning. */
  adaptStateToTokens(tokens: readonly Token[], allowShift: false): Promise<void>;
  clearHistory(): Promise<void>;
  /** Yields one token after the other, for ever or until the model ends its text. */
  evaluate(tokens: readonly Token[], options: SequenceEvaluateOptions): AsyncGenerator<Token, void, void>;
  evaluateWithoutGeneratingNewTokens(tokens: readonly Token[]): Promise<void>;
}

/** A context that makes embeddings, one after the other. Takes the arrays that it is given for its own. */
export interface LlamaEmbeddingContext {
  calculateInputLength(input: Token[]): number;
  getEmbeddingFor(input: Token[]): Promise<{ readonly vector: readonly number[] }>;
}

/** llama.cpp with its backends. */
export interface Llama {
  readonly gpu: string | false;
  loadModel(options: {
    readonly modelPath: string;
    readonly onLoadProgress: (progress: number) => void;
    readonly loadSignal: AbortSignal;
  }): Promise<LlamaModel>;
}

/** What this worker uses of node-llama-cpp. */
export interface LlamaLibrary {
  getLlama(options: {
    readonly gpu: "auto" | false;
    readonly build: "never";
    readonly skipDownload: true;
    readonly progressLogs: false;
    readonly logLevel: "error";
    readonly logger: (level: string, message: string) => void;
    readonly maxThreads: number;
  }): Promise<Llama>;
  LlamaText(value: LlamaText): LlamaText;
  resolveChatWrapper(model: LlamaModel, options: { readonly warningLogs: false; readonly noJinja: true }): ChatWrapper | null;
  readonly GeneralChatWrapper: new () => ChatWrapper;
  readonly JinjaTemplateChatWrapper: new (options: {
    readonly template: string;
    readonly tokenizer: Tokenizer;
    readonly reasoning: null;
  }) => ChatWrapper;
}

/**
 * Imports node-llama-cpp; throws what Node throws when it is not there. The interfaces above stand for its own declarations,
 * which do not compile (3.22.1: a property that does not exist, a dependency without types).
 */
export async function importLlamaLibrary(): Promise<LlamaLibrary> {
  const library: LlamaLibrary = await import(import.meta.resolve("node-llama-cpp"));
  return library;
}
