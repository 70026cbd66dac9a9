import { readFileSync } from "node:fs";
import { homedir, hostname } from "node:os";
import { join } from "node:path";
import { HIVE_CONFIG_DEFAULTS, type HiveConfigInput } from "@queen-and-hive/protocol";
import { absolutePath, type PathBase } from "./config.ts";
import type { Environment } from "./config-environment.ts";

/** What the command line says about the place of things. */
export interface PlaceFlags {
  readonly config?: string | undefined;
  readonly stateDir?: string | undefined;
}

/**
 * The state directory: flag > `HIVE_STATE_DIR` > `state_dir` of the configuration >
 * `~/.local/state/hive/<machine-id>-<hive_id>` (home directories may be shared between machines).
 */
export function locateStateDir(flags: PlaceFlags, config: HiveConfigInput, env: Environment): string {
  const base: PathBase = { homeDir: homedir(), baseDir: process.cwd() };
  const named = flags.stateDir ?? env["HIVE_STATE_DIR"] ?? config.state_dir;
  if (named !== undefined && named !== "") return absolutePath(named, base);
  const hiveId = env["HIVE_HIVE_ID"] ?? config.hive_id ?? HIVE_CONFIG_DEFAULTS.hive_id;
  return join(base.homeDir, ".local", "state", "hive", `${machineId()}-${hiveId}`);
}

/** machine-id(5); a machine without one is known by its name. */
function machineId(): string {
  for (const path of ["/etc/machine-id", "/var/lib/dbus/machine-id"]) {
    try {
      const id = readFileSync(path, "utf8").trim();
      if (id !== "") return id;
    } catch {
      // Not every machine has both.
    }
  }
  return hostname();
}
