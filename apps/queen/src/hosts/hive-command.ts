import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { HiveStop } from "./host.ts";

/** The words of a hive command, before any quoting. */
export type Argv = readonly [string, ...string[]];

/** How a hive program is called on this machine: the installed executable, or this checkout's hive under our own Node. */
export function hiveProgram(installDir: string | null, execPath: string): Argv {
  if (installDir !== null) return [join(installDir, "current", "hive")];
  return [execPath, fileURLToPath(new URL("../../../hive/src/main.ts", import.meta.url))];
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
