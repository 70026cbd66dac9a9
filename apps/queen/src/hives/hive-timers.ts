import { backoffMs, type Clock } from "@queen-and-hive/daemon";
import { unreachable } from "@queen-and-hive/protocol";
import type { HealthSettings, RestartSettings } from "../config/settings.ts";
import type { HiveTimer } from "../domain/hive-states.ts";

/** What the length of a hive's timers comes from. */
export interface HiveTimerSettings {
  readonly health: HealthSettings;
  readonly restart: RestartSettings;
  /** A number from 0 to 1, for the jitter. */
  readonly random: () => number;
}

/** The timers of one hive, one of each kind at most. */
export class HiveTimers {
  readonly #settings: HiveTimerSettings;
  readonly #clock: Clock;
  readonly #onTimer: (timer: HiveTimer) => void;
  readonly #running = new Map<HiveTimer, Disposable>();

  constructor(settings: HiveTimerSettings, clock: Clock, onTimer: (timer: HiveTimer) => void) {
    this.#settings = settings;
    this.#clock = clock;
    this.#onTimer = onTimer;
  }

  /** Sets a timer; it replaces one of its kind. */
  schedule(timer: HiveTimer, attempt: number): void {
    this.#running.get(timer)?.[Symbol.dispose]();
    const delayMs = hiveTimerMs(timer, attempt, this.#settings);
    this.#running.set(
      timer,
      this.#clock.after(delayMs, () => this.#onTimer(timer)),
    );
  }

  /** Cancels all of them. */
  cancel(): void {
    for (const timer of this.#running.values()) timer[Symbol.dispose]();
    this.#running.clear();
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
