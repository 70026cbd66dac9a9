import { backoffMs } from "@queen-and-hive/daemon";
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

/** How long a timer of a hive runs, milliseconds; `attempt` counts the failures before it. */
export function hiveTimerMs(timer: HiveTimer, attempt: number, { health, restart, random }: HiveTimerSettings): number {
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
