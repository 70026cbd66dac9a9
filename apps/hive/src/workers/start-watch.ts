import { setImmediate } from "node:timers/promises";
import type { Clock, Log } from "@queen-and-hive/daemon";
import type { WorkerSpec } from "@queen-and-hive/protocol";
import { beginVigil, judgeLook, type StartLimits, type StartLook, type StartVigil } from "../domain/signs-of-life.ts";
import type { StartFault, WorkerProcess } from "../domain/worker-states.ts";
import { askSlots } from "../process/ask-slots.ts";
import { askFirstToken } from "../process/first-token.ts";
import { type TreeUse, useOfTree } from "../process/machine-facts.ts";
import { OutputReader } from "../process/output-reader.ts";
import { OutputView } from "../process/output-view.ts";
import type { ProcessViews } from "../process/process-views.ts";
import { listensOnLoopbackOnly } from "../process/reach-worker.ts";
import { probeReady } from "../process/ready-probe.ts";
import type { DeviceSigns } from "./device-signs.ts";

/** What to watch while a worker loads. */
export interface StartWatchOptions {
  readonly spec: WorkerSpec;
  readonly process: WorkerProcess;
  /** The worker's own address, for `ready.http`. */
  readonly url: string;
  /** The worker's key; null where it asks for none. */
  readonly key: string | null;
  readonly outputPath: string;
  /** Where this incarnation's output begins. */
  readonly outputFrom: number;
  /** How long the start has lasted already: an adopted worker. */
  readonly alreadyMs: number;
  readonly pauses: { readonly firstMs: number; readonly maxMs: number };
  readonly views: ProcessViews;
  readonly deviceSigns: () => DeviceSigns;
  readonly clock: Clock;
  readonly log: Log;
  /** Told with the slots that the engine said, or null when it says nothing of them. */
  readonly onReady: (slots: number | null) => Promise<void>;
  /** It gave the first token that `warmUp` asks for. */
  readonly onWarm: () => Promise<void>;
  readonly onGiveUp: (cause: StartFault) => void;
  readonly onProgress: (progress: string) => void;
}

/** Looks at a loading worker at growing pauses: for readiness where the runtime has a probe or a log line, and for signs of life. */
export class StartWatch implements Disposable {
  readonly #options: StartWatchOptions;
  readonly #controller = new AbortController();
  readonly #pattern: RegExp | null;
  readonly #output: OutputView;
  readonly #reader: OutputReader;
  #partialLine = "";
  /** A line is read once only; when its readiness could not be recorded, it still counts. */
  #lineSaidReady = false;
  #use: TreeUse = { cpuMs: 0, residentBytes: 0 };
  #useAtMs = Number.NEGATIVE_INFINITY;
  #vigil: StartVigil;
  #isWarming = false;
  #saysProgress = false;
  #describedAtMs: number;

  constructor(options: StartWatchOptions) {
    this.#options = options;
    const { log } = options.spec.runtime.ready ?? {};
    this.#pattern = log === undefined ? null : new RegExp(log);
    this.#output = new OutputView(options.outputPath, options.log);
    this.#reader = new OutputReader(options.outputPath, options.outputFrom, options.log);
    this.#vigil = beginVigil(this.#look(false), options.alreadyMs);
    this.#describedAtMs = options.clock.monotonicMs();
  }

  /** Begins to look. */
  start(): void {
    void this.#run();
  }

  /** It says that it is ready: asks it for a first token, while the signs of life are looked at as before. */
  warmUp(): void {
    if (this.#isWarming) return;
    this.#isWarming = true;
    this.#say(WARMING);
    void this.#askUntilToken();
  }

  /** Its output begins anew; `partFrom` as `OutputRotation` tells it. */
  outputRotated(partFrom: number | null): void {
    this.#reader.rotated(partFrom);
  }

  [Symbol.dispose](): void {
    this.#controller.abort();
    this.#reader[Symbol.dispose]();
  }

  async #run(): Promise<void> {
    const { clock, pauses, log } = this.#options;
    const { signal } = this.#controller;
    let pauseMs = pauses.firstMs;
    while (!signal.aborted) {
      try {
        if (await this.#step()) return;
      } catch (error) {
        log.warn("cannot look at a loading worker", { error });
      }
      await clock.sleep(pauseMs, signal).catch(() => undefined);
      pauseMs = Math.min(pauseMs * PAUSE_FACTOR, pauses.maxMs);
    }
  }

  /** True when there is nothing more to look for. */
  async #step(): Promise<boolean> {
    const { spec, url, key } = this.#options;
    const { saidReady, saidLoading, unreachable } = await this.#ask();
    if (this.#controller.signal.aborted) return true;
    if (unreachable) {
      this.#options.onGiveUp("listens_on_loopback_only");
      return true;
    }
    if (saidReady) {
      await this.#options.onReady(await askSlots({ spec, url, key }, this.#controller.signal));
      return this.#controller.signal.aborted;
    }
    const look = this.#look(saidLoading);
    const { vigil, giveUp } = judgeLook(this.#vigil, look, this.#limits());
    this.#vigil = vigil;
    this.#describe(look);
    if (giveUp === null) return false;
    this.#options.onGiveUp(giveUp);
    return true;
  }

  async #ask(): Promise<Said> {
    if (this.#isWarming) return NOTHING_SAID;
    const { spec, url, key } = this.#options;
    const path = spec.runtime.ready?.http;
    if (this.#pattern !== null) this.#lineSaidReady ||= await this.#logSaysReady(this.#pattern);
    if (this.#lineSaidReady) return { ...NOTHING_SAID, saidReady: true, unreachable: await listensOnLoopbackOnly(url) };
    if (path === undefined) return NOTHING_SAID;
    const answer = await probeReady({ url: `${url}${path}`, timeoutMs: PROBE_MS, key }, this.#controller.signal);
    if (answer.progress !== null) this.#say(answer.progress);
    if (answer.outcome === "mute") return { ...NOTHING_SAID, unreachable: await listensOnLoopbackOnly(url) };
    return { saidReady: answer.outcome === "ready", saidLoading: answer.outcome === "loading", unreachable: false };
  }

  async #askUntilToken(): Promise<void> {
    const { url, key, spec, clock, log, onWarm } = this.#options;
    const { signal } = this.#controller;
    while (!signal.aborted) {
      const answer = await askFirstToken({
        url,
        model: spec.model.id,
        key,
        timeoutMs: Number.POSITIVE_INFINITY,
        signal,
      });
      if (answer === "token" || answer === "refused") {
        try {
          return await onWarm();
        } catch (error) {
          log.warn("cannot take note of a worker's first token", { error });
        }
      }
      await clock.sleep(WARM_PAUSE_MS, signal).catch(() => undefined);
    }
  }

  /** Reads all that was written, with room for others in between; of a flood so much that the other signs are still looked at. */
  async #logSaysReady(pattern: RegExp): Promise<boolean> {
    for (let pieces = 0; pieces < LOOK_PIECES_MAX && !this.#controller.signal.aborted; pieces += 1) {
      const text = this.#reader.next();
      if (text === "") return false;
      const lines = (this.#partialLine + text).split("\n");
      this.#partialLine = (lines.at(-1) ?? "").slice(-LINE_CHARACTERS_MAX);
      if (lines.some((line) => pattern.test(line))) return true;
      await setImmediate();
    }
    return false;
  }

  #say(progress: string): void {
    this.#saysProgress = true;
    this.#options.onProgress(progress);
  }

  /** What can be told of a worker that says nothing of its progress. */
  #describe({ atMs, cpuMs, residentBytes, logBytes }: StartLook): void {
    if (this.#saysProgress || atMs - this.#describedAtMs < DESCRIBE_EVERY_MS) return;
    this.#describedAtMs = atMs;
    const silentS = Math.floor((atMs - this.#vigil.lastSign.atMs) / 1_000);
    const sign = silentS < DESCRIBE_EVERY_MS / 1_000 ? "alive" : `no sign of life for ${silentS} s`;
    this.#options.onProgress(
      `${sign}: ${Math.round(cpuMs / 1_000)} s of CPU time, ${Math.round(residentBytes / 1_048_576)} MiB of memory, ${logBytes} bytes of output`,
    );
  }

  #look(saidLoading: boolean): StartLook {
    const atMs = this.#options.clock.monotonicMs();
    // Reading all processes costs milliseconds; a sign of life may be seen a little later.
    if (atMs - this.#useAtMs >= USE_EVERY_MS) {
      this.#use = useOfTree(this.#options.views.table(TABLE_AGE_MS_MAX), this.#options.process.shim);
      this.#useAtMs = atMs;
    }
    return { atMs, logBytes: this.#output.size(), saidLoading, ...this.#use, ...this.#options.deviceSigns() };
  }

  #limits(): StartLimits {
    const { silence_s, total_s } = this.#options.spec.start;
    return { silenceMs: silence_s === null ? null : silence_s * 1_000, totalMs: total_s === null ? null : total_s * 1_000 };
  }
}

/** What one look at a loading worker told. */
interface Said {
  readonly saidReady: boolean;
  readonly saidLoading: boolean;
  /** It listens where the queen cannot reach it. */
  readonly unreachable: boolean;
}

const NOTHING_SAID: Said = { saidReady: false, saidLoading: false, unreachable: false };
const PAUSE_FACTOR = 1.5;
/** How long one answer of a health path may take: one that takes longer is asked again. */
const PROBE_MS = 1_000;
/** Between two requests for a first token, when the engine was busy or did not answer. */
const WARM_PAUSE_MS = 500;
/** Between two descriptions of a worker that says nothing. */
const DESCRIBE_EVERY_MS = 5_000;
const WARMING = "asked for a first token";
/** Workers that are looked at together share one reading of the processes. */
const TABLE_AGE_MS_MAX = 100;
const USE_EVERY_MS = 1_000;
const LINE_CHARACTERS_MAX = 65_536;
/** Of 256 KiB each. */
const LOOK_PIECES_MAX = 64;
