import type { HiveFinding } from "@queen-and-hive/protocol";

/** A finding that is as it should be. */
export function ok(check: HiveFinding["check"], found: string): HiveFinding {
  return { check, level: "ok", found, advice: null };
}

/** A finding with which a hive starts, and something will not work as well as it could. */
export function warn(check: HiveFinding["check"], found: string, advice: string): HiveFinding {
  return { check, level: "warn", found, advice };
}

/** A finding with which no hive is started there. */
export function fail(check: HiveFinding["check"], found: string, advice: string): HiveFinding {
  return { check, level: "fail", found, advice };
}
