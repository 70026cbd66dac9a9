import { HIVE_CONFIG_DEFAULTS } from "@queen-and-hive/protocol";
import { ownEnvironment } from "../config-environment.ts";
import { locateStateDir } from "../config-place.ts";
import { type StatePaths, statePaths } from "../store/state-paths.ts";

/** The state directory that a looking command means; nothing is made. */
export function findState(flags: { readonly stateDir?: string }): StatePaths {
  return statePaths(locateStateDir(flags, HIVE_CONFIG_DEFAULTS, ownEnvironment()));
}
