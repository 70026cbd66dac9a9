import { readFileSync } from "node:fs";
import type { Argv } from "../hosts/host.ts";

/** What a host is asked; every path absolute. */
export interface ProbeQuestion {
  readonly stateDir: string;
  /** Where the hive is or will be installed; null when it runs from this checkout. */
  readonly installDir: string | null;
  readonly modelsDir: string | null;
  /** The port that the daemon is to listen on; 0 means any. */
  readonly port: number;
  /** Runtime name -> the program that the configuration gives it. */
  readonly bins: Readonly<Record<string, string>>;
  /** The hive program there; null when it need not be asked. */
  readonly program: Argv | null;
  /** How long each program that is asked something may take, seconds. */
  readonly limitS: number;
}

const PROBE_SCRIPT = readFileSync(new URL("./probe.sh", import.meta.url), "utf8");

/** The whole look at a host as one command. */
export function probeArgv(question: ProbeQuestion): Argv {
  const { stateDir, installDir, modelsDir, port, bins, program, limitS } = question;
  // By number, for a name may have any characters.
  const given = Object.values(bins).map((bin, index) => `${index}=${bin}`);
  const places = [stateDir, installDir ?? "", modelsDir ?? ""];
  return ["sh", "-c", PROBE_SCRIPT, "queen-probe", ...places, String(port), String(limitS), ...given, "--", ...(program ?? [])];
}
