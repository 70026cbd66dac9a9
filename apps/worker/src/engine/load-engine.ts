import type { Clock, Log } from "@queen-and-hive/daemon";
import { WORKER_EXIT } from "@queen-and-hive/protocol";
import type { Engine } from "../domain/generation.ts";
import { StartFailure } from "../domain/start-failure.ts";
import { LlamaEngine } from "./llama-engine.ts";
import { importLlamaLibrary, type Llama, type LlamaContext, type LlamaLibrary, type LlamaModel } from "./llama-library.ts";
import type { SlotLimits } from "./slot-pool.ts";

/** What to load, and how much it may take. */
export interface LoadOptions {
  readonly modelPath: string;
  readonly slots: number;
  /** Tokens that a slot holds at most; less where the model was trained on less or memory is short. */
  readonly contextTokensMax: number;
  readonly threads: number;
  /** Whether a GPU flavour of llama.cpp may be used where one is installed. */
  readonly gpu: boolean;
  readonly limits: SlotLimits;
}

/** What loading needs from outside. */
export interface LoadSurroundings {
  readonly clock: Clock;
  readonly log: Log;
  readonly onProgress: (progress: number) => void;
  /** Hears every token that is generated later. */
  readonly onToken: () => void;
  readonly signal: AbortSignal;
}

/** Lines of llama.cpp's own complaints that are kept to explain a failed load. */
const COMPLAINTS_MAX = 5;
/** The exit code of what has none of its own. */
const GENERAL_FAILURE = 1;

/**
 * Loads llama.cpp, then the model. Nothing is ever built or downloaded.
 * Throws StartFailure: `runtimeMissing` without a binding for this machine, `modelInvalid` for what llama.cpp refuses.
 */
export async function loadEngine(
  options: LoadOptions,
  { clock, log, onProgress, onToken, signal }: LoadSurroundings,
): Promise<Engine> {
  const complaints: string[] = [];
  const complain = (message: string): void => {
    log.debug("llama.cpp says", { text: message.trim() });
    complaints.push(message.trim());
    if (complaints.length > COMPLAINTS_MAX) complaints.shift();
  };
  const { library, llama } = await loadBinding(options, complain);
  signal.throwIfAborted();
  const model = await loadModel(llama, options, onProgress, signal, complaints);
  const context = await createContext(model, options, signal);
  return new LlamaEngine({ library, model, context, threads: options.threads, limits: options.limits, clock, onToken });
}

async function loadBinding(
  options: LoadOptions,
  complain: (message: string) => void,
): Promise<{ readonly library: LlamaLibrary; readonly llama: Llama }> {
  try {
    // Imported late: it takes half a second, in which /health already answers.
    const library = await importLlamaLibrary();
    const llama = await library.getLlama({
      gpu: options.gpu ? "auto" : false,
      build: "never",
      skipDownload: true,
      progressLogs: false,
      logLevel: "error",
      logger: (_level, message) => complain(message),
      maxThreads: options.threads,
    });
    return { library, llama };
  } catch (error) {
    const platform = `${process.platform}-${process.arch}`;
    throw new StartFailure(
      WORKER_EXIT.runtimeMissing,
      `cannot use llama.cpp on ${platform}: ${messageOf(error)}: install the worker bundle for this platform`,
      error,
    );
  }
}

async function loadModel(
  llama: Llama,
  options: LoadOptions,
  onProgress: (progress: number) => void,
  signal: AbortSignal,
  complaints: readonly string[],
): Promise<LlamaModel> {
  try {
    return await llama.loadModel({ modelPath: options.modelPath, onLoadProgress: onProgress, loadSignal: signal });
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    const why = [...new Set([...complaints, messageOf(error)])].join("; ");
    throw new StartFailure(
      WORKER_EXIT.modelInvalid,
      `cannot load ${options.modelPath}: ${why}: try another file of this model`,
      error,
    );
  }
}

/** One memory for all slots. Throws StartFailure when the machine has not enough for it. */
async function createContext(model: LlamaModel, options: LoadOptions, signal: AbortSignal): Promise<LlamaContext> {
  try {
    return await model.createContext({
      sequences: options.slots,
      contextSize: { max: options.contextTokensMax },
      threads: options.threads,
      createSignal: signal,
    });
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    const room = `${options.slots} slots of up to ${options.contextTokensMax} tokens`;
    throw new StartFailure(
      GENERAL_FAILURE,
      `cannot make room for ${room}: ${messageOf(error)}: give fewer slots or a smaller --context`,
      error,
    );
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
