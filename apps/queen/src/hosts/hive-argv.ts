import { posix } from "node:path";
import { fileURLToPath } from "node:url";
import type { Argv } from "./host.ts";

/** How a hive is to be stopped. */
export interface HiveStop {
  readonly keepWorkers: boolean;
  /** Only a hive of this queen is stopped. */
  readonly queenId: string;
}

/** The installed hive program of an `install_dir`. */
export function installedHive(installDir: string): Argv {
  return [posix.join(installDir, "current", "hive")];
}

/** This checkout's hive under our own Node; for this machine only. */
export function checkoutHive(): Argv {
  return [process.execPath, fileURLToPath(new URL("../../../hive/src/main.ts", import.meta.url))];
}

/** `hive start --json`: configuration, secrets and the queen's address follow on standard input. */
export function startArgv(program: Argv, stateDir: string, deadlineMs: number): Argv {
  return [...program, "start", "--json", "--state-dir", stateDir, "--deadline-ms", wholeMs(deadlineMs)];
}

/** `hive status --json`. */
export function statusArgv(program: Argv, stateDir: string): Argv {
  return [...program, "status", "--json", "--state-dir", stateDir];
}

/** `hive stop --json`, proven, within a deadline of its own. */
export function stopArgv(program: Argv, stateDir: string, stop: HiveStop, deadlineMs: number): Argv {
  const keep = stop.keepWorkers ? ["--keep-workers"] : [];
  return [
    ...program,
    "stop",
    "--json",
    ...keep,
    "--state-dir",
    stateDir,
    "--queen-id",
    stop.queenId,
    "--deadline-ms",
    wholeMs(deadlineMs),
  ];
}

function wholeMs(ms: number): string {
  return String(Math.max(0, Math.round(ms)));
}
