import type { Clock, Log } from "@queen-and-hive/daemon";
import { QhError } from "@queen-and-hive/protocol";
import type { EngineWord } from "../gateway/engine-ask.ts";
import type { ReadyWorker, UpstreamName } from "../workers/worker-directory.ts";
import type { UpstreamSettings } from "./upstream-settings.ts";

/** What one upstream works with; times in milliseconds. */
export interface UpstreamParts {
  readonly settings: UpstreamSettings;
  readonly health: {
    readonly intervalMs: number;
    readonly retryMs: number;
    readonly timeoutMs: number;
    readonly failures: number;
  };
  readonly ask: (worker: UpstreamSettings, timeoutMs: number) => Promise<EngineWord>;
  readonly changed: (upstream: Upstream, cause: string) => void;
  readonly clock: Clock;
  readonly log: Log;
}

/** An OpenAI-compatible server that is used, but neither started nor stopped: up until checks or traffic say otherwise. */
export class Upstream implements Disposable {
  readonly settings: UpstreamSettings;
  readonly name: UpstreamName;
  readonly #parts: UpstreamParts;
  readonly #ready: ReadonlyMap<string, ReadyWorker>;
  readonly #lost = new AbortController();
  #isUp = true;
  #failuresInARow = 0;
  #checking = false;
  #timer: Disposable | null = null;

  constructor(parts: UpstreamParts) {
    const { settings } = parts;
    this.#parts = parts;
    this.settings = settings;
    this.name = `upstream:${settings.id}`;
    const { url, basePath, key, slots, overflow } = settings;
    const shared = {
      workerId: this.name,
      incarnation: 1,
      hiveId: null,
      url,
      basePath,
      key,
      slots,
      overflow,
      lost: this.#lost.signal,
    };
    this.#ready = new Map(Object.entries(settings.models).map(([id, model]) => [id, { ...shared, model }]));
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  /** What requests for one of its models are given, while it is up; null for a model that it does not have. */
  ready(modelId: string): ReadyWorker | null {
    return this.#isUp ? (this.#ready.get(modelId) ?? null) : null;
  }

  /** Checks now, and from then on at intervals. */
  start(): void {
    void this.#check();
  }

  /** A request could not reach it: it is looked at without waiting for the next check. */
  doubt(): void {
    if (!this.#checking) void this.#check();
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
    this.#lost.abort(new QhError("shutting_down", "cannot go on: the queen is stopping"));
  }

  async #check(): Promise<void> {
    const { ask, health, clock } = this.#parts;
    this.#checking = true;
    this.#timer?.[Symbol.dispose]();
    const cause = await ask(this.settings, health.timeoutMs).then(({ status }) => trouble(status), causeOf);
    this.#checking = false;
    if (this.#lost.signal.aborted) return;
    this.#failuresInARow = cause === null ? 0 : this.#failuresInARow + 1;
    this.#timer = clock.after(cause === null ? health.intervalMs : health.retryMs, () => void this.#check());
    if (cause === null && !this.#isUp) this.#become(true, "answers");
    if (cause !== null && this.#isUp && this.#failuresInARow >= health.failures) this.#become(false, cause);
  }

  #become(isUp: boolean, cause: string): void {
    const { settings, log, changed } = this.#parts;
    this.#isUp = isUp;
    const facts = { upstream: settings.id, url: settings.url, cause };
    if (isUp) log.info("an upstream answers again", facts);
    else if (settings.bestEffort) log.info("an upstream is off", facts);
    else log.error("an upstream does not answer", facts);
    changed(this, cause);
  }
}

/** Why an answer means that requests would fail too, or null. Servers without a list of models are as good as others. */
function trouble(status: number): string | null {
  if (status === 401 || status === 403) return "key_refused";
  return status >= 500 ? `status_${status}` : null;
}

function causeOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : null;
  return typeof code === "string" ? code.toLowerCase() : "no_answer";
}
