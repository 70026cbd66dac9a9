import { type Clock, fieldOf } from "@queen-and-hive/daemon";
import type { ReadyWorker, WorkerDirectory } from "../workers/worker-directory.ts";
import { type AskedEngine, askModels, type EngineWord } from "./engine-ask.ts";

/** What is known of one engine. */
interface Known {
  readonly askedAtMs: number;
  readonly tokens: Promise<number | null>;
}

/** How long the list of models waits for an engine, and after what time an engine without an answer is asked again. */
const ASK_MS = 1_000;
const ASK_AGAIN_MS = 60_000;

/** How many tokens fit into a request, as the engines of a model say it. Each is asked once, when somebody wants to know. */
export class ContextLengths {
  readonly #directory: WorkerDirectory;
  readonly #clock: Clock;
  readonly #ask: (engine: AskedEngine, timeoutMs: number) => Promise<EngineWord>;
  readonly #known = new WeakMap<ReadyWorker, Known>();

  constructor(directory: WorkerDirectory, clock: Clock, ask = askModels) {
    this.#directory = directory;
    this.#clock = clock;
    this.#ask = ask;
  }

  /** The least of a model's ready engines; null while none has said it. */
  async of(modelId: string): Promise<number | null> {
    const said = await Promise.all(this.#directory.ready(modelId).map((worker) => this.#ofWorker(worker)));
    const known = said.filter((tokens) => tokens !== null);
    return known.length === 0 ? null : Math.min(...known);
  }

  async #ofWorker(worker: ReadyWorker): Promise<number | null> {
    const nowMs = this.#clock.monotonicMs();
    const known = this.#known.get(worker);
    if (known !== undefined) {
      const tokens = await known.tokens;
      if (tokens !== null || nowMs - known.askedAtMs < ASK_AGAIN_MS) return tokens;
    }
    const tokens = this.#ask(worker, ASK_MS).then(
      ({ body }) => contextLengthOf(body, worker.model),
      () => null,
    );
    this.#known.set(worker, { askedAtMs: nowMs, tokens });
    return await tokens;
  }
}

/** Where the engines' lists of models say it: vLLM and SGLang, llama-server, ours and several clouds. */
const FIELDS = ["max_model_len", "context_length", "context_window", "n_ctx", "n_ctx_train"];

/** The context length of a model in an engine's list: under its name, or of the only one that there is. */
export function contextLengthOf(list: unknown, model: string): number | null {
  const data = fieldOf(list, "data");
  if (!Array.isArray(data)) return null;
  const entry: unknown = data.find((each) => fieldOf(each, "id") === model) ?? (data.length === 1 ? data[0] : undefined);
  const meta = fieldOf(entry, "meta");
  for (const field of FIELDS) {
    const tokens = fieldOf(entry, field) ?? fieldOf(meta, field);
    if (typeof tokens === "number" && Number.isSafeInteger(tokens) && tokens > 0) return tokens;
  }
  return null;
}
