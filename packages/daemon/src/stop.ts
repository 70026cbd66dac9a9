import { QhError } from "@queen-and-hive/protocol";
import { type Clock, systemClock } from "./clock.ts";
import { Deadline } from "./deadline.ts";
import type { Log } from "./log.ts";

/** A step of stopping that did not end well. */
export interface StopFailure {
  readonly name: string;
  readonly error: unknown;
}

/** What a stop sequence needs to know. */
export interface StopSequenceOptions {
  readonly log: Log;
  readonly clock?: Clock;
  /** What every later step keeps of the budget, even when an earlier one hangs. */
  readonly stepReserveMs?: number;
  /** The budget when the sequence is disposed without a deadline. */
  readonly disposeMs?: number;
}

const STEP_RESERVE_MS = 200;
const DISPOSE_MS = 10_000;

/** Everything that was opened, closed in reverse order, each step within its share of one deadline. */
export class StopSequence implements AsyncDisposable {
  readonly #options: StopSequenceOptions;
  readonly #clock: Clock;
  readonly #steps: { readonly name: string; readonly stop: (deadline: Deadline) => Promise<void> }[] = [];
  #stopping: Promise<readonly StopFailure[]> | null = null;
  #over = false;

  constructor(options: StopSequenceOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /** Adds a step that runs before those added earlier. While stopping it still joins in; once over this throws. */
  defer(name: string, stop: (deadline: Deadline) => Promise<void>): void {
    if (this.#over) throw new Error(`cannot add the step "${name}": everything has been stopped`);
    this.#steps.push({ name, stop });
  }

  /** Runs all steps once and returns those that failed or overran; a second call returns the same promise. */
  stop(deadline: Deadline): Promise<readonly StopFailure[]> {
    this.#stopping ??= this.#run(deadline);
    return this.#stopping;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop(Deadline.in(this.#options.disposeMs ?? DISPOSE_MS, this.#clock));
  }

  async #run(deadline: Deadline): Promise<readonly StopFailure[]> {
    const failures: StopFailure[] = [];
    const reserveMs = this.#options.stepReserveMs ?? STEP_RESERVE_MS;
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      const share = deadline.earlier(this.#steps.length * reserveMs);
      const own = share.remainingMs() < reserveMs ? Deadline.in(reserveMs, this.#clock) : share;
      try {
        await bounded(step.name, step.stop, own);
      } catch (error) {
        failures.push({ name: step.name, error });
        this.#options.log.error(`cannot stop ${step.name}`, { error });
      }
    }
    this.#over = true;
    return failures;
  }
}

/** Ends the wait for a step at its deadline; the step itself was told the deadline and is on its own from then on. */
async function bounded(name: string, stop: (deadline: Deadline) => Promise<void>, deadline: Deadline): Promise<void> {
  const budgetMs = Math.round(deadline.remainingMs());
  using signal = deadline.signal();
  const overrun = new Promise<never>((_, reject) => {
    signal.addEventListener(
      "abort",
      () => reject(new QhError("deadline_exceeded", `cannot stop ${name} within ${budgetMs} ms; it is left as it is`)),
      { once: true },
    );
  });
  await Promise.race([stop(deadline), overrun]);
}

/** Which signals to hear, and what to do; `count` is 1 for the first of them, 2 for the second of any. */
export interface SignalHandling {
  readonly signals: readonly NodeJS.Signals[];
  readonly handle: (signal: NodeJS.Signals, count: number) => void;
  /**
   * The same signal again within so many milliseconds counts once: a launcher in our process group has passed on what we had
   * already. Never for SIGINT, which launchers leave to the terminal. None when absent.
   */
  readonly echoMs?: number;
}

/** Hears signals of this process until the result is disposed. A second Ctrl-C is the same handler with count 2. */
export function onSignals({ signals, handle, echoMs = 0 }: SignalHandling): Disposable {
  let count = 0;
  const heardAt = new Map<NodeJS.Signals, number>();
  const listener = (signal: NodeJS.Signals): void => {
    const now = performance.now();
    const isEcho = signal !== "SIGINT" && now - (heardAt.get(signal) ?? Number.NEGATIVE_INFINITY) < echoMs;
    heardAt.set(signal, now);
    if (isEcho) return;
    count += 1;
    handle(signal, count);
  };
  for (const signal of signals) process.on(signal, listener);
  return {
    [Symbol.dispose]: () => {
      for (const signal of signals) process.off(signal, listener);
    },
  };
}
