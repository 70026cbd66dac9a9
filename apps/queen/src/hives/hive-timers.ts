import { backoffMs, type Clock } from "@queen-and-hive/daemon";
import { unreachable } from "@queen-and-hive/protocol";
import type { HealthSettings, RestartSettings } from "../config/settings.ts";
import type { HiveTimer } from "../domain/hive-states.ts";
import { afterAwake } from "./stall-check.ts";

/** What the length of a hive's timers comes from. */
interface HiveTimerSettings {
  readonly health: HealthSettings;
  readonly restart: RestartSettings;
  /** A number from 0 to 1, for the jitter. */
  readonly random: () => number;
}

/** What timers need to know. */
export interface HiveTimersOptions extends HiveTimerSettings {
  readonly clock: Clock;
}

/** The timers of one hive, one of each kind, all in time that we were awake. */
export class HiveTimers {
  readonly #options: HiveTimersOptions;
  readonly #onTimer: (timer: HiveTimer) => void;
  readonly #timers = new Map<HiveTimer | "start", Disposable>();

  constructor(options: HiveTimersOptions, onTimer: (timer: HiveTimer) => void) {
    this.#options = options;
    this.#onTimer = onTimer;
  }

  /** Sets a timer; it replaces one of its kind. */
  schedule(timer: HiveTimer, attempt: number): void {
    this.#set(timer, hiveTimerMs(timer, attempt, this.#options), () => this.#onTimer(timer));
  }

  /** What could not be recorded is tried again soon, as often as it takes. */
  tryAgain(what: HiveTimer | "start", run: () => void): void {
    this.#set(what, this.#options.health.retryMs, run);
  }

  /** Another state has begun: of what was set before, only that its workers are replaced in time still counts. */
  stateLeft(): void {
    for (const [name, timer] of this.#timers) {
      if (name === "replace") continue;
      timer[Symbol.dispose]();
      this.#timers.delete(name);
    }
  }

  cancel(): void {
    for (const timer of this.#timers.values()) timer[Symbol.dispose]();
    this.#timers.clear();
  }

  #set(key: HiveTimer | "start", ms: number, run: () => void): void {
    this.#timers.get(key)?.[Symbol.dispose]();
    this.#timers.set(key, afterAwake(this.#options.clock, ms, run));
  }
}

/** How long a timer of a hive runs, milliseconds; `attempt` counts the failures before it. */
function hiveTimerMs(timer: HiveTimer, attempt: number, { health, restart, random }: HiveTimerSettings): number {
  switch (timer) {
    case "restart":
      return backoffMs(attempt, restart, random);
    case "retry":
      return health.retryMs;
    case "grace":
      return health.suspectGraceMs;
    case "replace":
      return health.replaceAfterMs;
    case "reopen":
      return restart.retryOpenEveryMs;
    default:
      return unreachable(timer);
  }
}
