import { type Clock, type Log, readProcStat } from "@queen-and-hive/daemon";
import type { WorkerSpec } from "@queen-and-hive/protocol";
import {
  beginHealthVigil,
  CPU_SIGN_RATIO,
  type HealthLimits,
  type HealthLook,
  type HealthVigil,
  judgeHealth,
} from "../domain/health.ts";
import type { WorkerProcess } from "../domain/worker-states.ts";
import { askFirstToken } from "../process/first-token.ts";
import { useOfTree } from "../process/machine-facts.ts";
import { OutputView } from "../process/output-view.ts";
import type { ProcessViews } from "../process/process-views.ts";
import { probeReady } from "../process/ready-probe.ts";
import type { DeviceSigns } from "./device-signs.ts";

/** How often a worker that was ready is looked at, and how long it may be silent; the hive's `health`. */
export interface HealthSettings {
  readonly everyMs: number;
  readonly timeoutMs: number;
  /** Infinity: never. */
  readonly hungAfterMs: number;
  readonly replaceAfterMs: number;
}

/** What to watch while a worker serves. */
export interface HealthWatchOptions {
  readonly spec: WorkerSpec;
  readonly process: WorkerProcess;
  /** Where it serves. */
  readonly url: string;
  /** The worker's key; null where it asks for none. */
  readonly key: string | null;
  readonly outputPath: string;
  /** Whether it counts as hung now: what a look found counts only once it was taken note of. */
  readonly isHung: () => boolean;
  readonly settings: HealthSettings;
  readonly views: ProcessViews;
  readonly deviceSigns: () => DeviceSigns;
  readonly clock: Clock;
  readonly log: Log;
  readonly onMute: () => void;
  readonly onAnswer: () => void;
  readonly onStayedMute: () => void;
}

/** What its processes have done so far. */
interface Work {
  readonly atMs: number;
  readonly deviceIsBusy: boolean;
  readonly cpuMs: number;
  readonly logBytes: number;
}

/**
 * Looks at a worker that was ready: does it answer on its health path, and if not, does it at least work? Of one without such
 * a path, any HTTP answer counts. Whoever has reason to doubt that path (requests that get no answer) has it asked for a token instead, until one comes.
 */
export class HealthWatch implements Disposable {
  readonly #options: HealthWatchOptions;
  readonly #controller = new AbortController();
  readonly #check: HealthCheck;
  readonly #output: OutputView;
  #vigil: HealthVigil;
  #work: Work | null = null;
  #isDoubted = false;
  #pause = new AbortController();

  constructor(options: HealthWatchOptions) {
    this.#options = options;
    this.#check = healthCheckOf(options.spec);
    this.#output = new OutputView(options.outputPath, options.log);
    this.#vigil = beginHealthVigil(options.clock.monotonicMs(), options.isHung());
  }

  /** Begins to look. */
  start(): void {
    if (Number.isFinite(this.#options.settings.hungAfterMs)) void this.#run();
  }

  /** Requests get no answer: from now on only a token counts. */
  doubt(): void {
    this.#isDoubted = true;
    this.#pause.abort();
  }

  [Symbol.dispose](): void {
    this.#controller.abort();
  }

  async #run(): Promise<void> {
    const { clock, settings, log } = this.#options;
    const { signal } = this.#controller;
    while (!signal.aborted) {
      this.#pause = new AbortController();
      await clock.sleep(settings.everyMs, AbortSignal.any([signal, this.#pause.signal])).catch(() => undefined);
      if (signal.aborted) return;
      try {
        await this.#step();
      } catch (error) {
        log.warn("cannot look at the health of a worker", { error });
      }
    }
  }

  async #step(): Promise<void> {
    const serves = await this.#serves();
    if (this.#controller.signal.aborted) return;
    const look = this.#look(serves);
    if (look === null) return;
    const { onMute, onAnswer, onStayedMute } = this.#options;
    const { vigil, verdict } = judgeHealth({ ...this.#vigil, isHung: this.#options.isHung() }, look, this.#limits());
    this.#vigil = vigil;
    if (verdict === "mute") onMute();
    if (verdict === "answers") onAnswer();
    if (verdict === "replace") onStayedMute();
  }

  async #serves(): Promise<boolean> {
    const { url, key, spec, process, settings } = this.#options;
    const { signal } = this.#controller;
    const { timeoutMs } = settings;
    if (readProcStat(process.engine.pid)?.state === "T") return false;
    if (this.#isDoubted) {
      // A token that takes longer waits behind others, and their work shows.
      const answer = await askFirstToken({ url, model: spec.model.id, key, timeoutMs, signal });
      this.#isDoubted = answer === "mute";
      return !this.#isDoubted;
    }
    const { path, isKnown } = this.#check;
    const { outcome } = await probeReady({ url: `${url}${path}`, timeoutMs, key }, signal);
    return outcome === "ready" || (outcome === "loading" && !isKnown);
  }

  /** Null when it does not serve and its work cannot be compared with anything yet. */
  #look(serves: boolean): HealthLook | null {
    const atMs = this.#options.clock.monotonicMs();
    const before = this.#work;
    // Reading all processes costs milliseconds, so it is done only while there is doubt.
    this.#work = serves ? null : this.#workNow(atMs);
    if (this.#work === null) return { atMs, serves, progresses: false };
    return before === null ? null : { atMs, serves, progresses: hasWorked(before, this.#work) };
  }

  #workNow(atMs: number): Work {
    const { process } = this.#options;
    return {
      atMs,
      cpuMs: useOfTree(this.#options.views.table(TABLE_AGE_MS_MAX), process.shim).cpuMs,
      logBytes: this.#output.size(),
      deviceIsBusy: this.#options.deviceSigns().deviceIsBusy,
    };
  }

  #limits(): HealthLimits {
    const { hungAfterMs, replaceAfterMs, everyMs, timeoutMs } = this.#options.settings;
    return { hungAfterMs, replaceAfterMs, gapMsMax: 2 * (everyMs + timeoutMs) };
  }
}

/** Workers that are looked at together share one reading of the processes. */
const TABLE_AGE_MS_MAX = 100;

/** How a worker is asked whether it serves. */
interface HealthCheck {
  readonly path: string;
  /** Its recipe names the path, and only 200 is well there; of others any answer shows that their server lives. */
  readonly isKnown: boolean;
}

function healthCheckOf({ runtime }: WorkerSpec): HealthCheck {
  const path = runtime.check?.http ?? runtime.ready?.http;
  return { path: path ?? USUAL_PATH, isKnown: path !== undefined };
}

const USUAL_PATH = "/health";

function hasWorked(before: Work, now: Work): boolean {
  if (now.deviceIsBusy) return true;
  return now.logBytes !== before.logBytes || now.cpuMs - before.cpuMs >= Math.max(1, now.atMs - before.atMs) * CPU_SIGN_RATIO;
}
