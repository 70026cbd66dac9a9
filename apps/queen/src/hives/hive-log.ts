import type { Deadline } from "@queen-and-hive/daemon";
import { QhError } from "@queen-and-hive/protocol";
import type { HiveSettings } from "../config/settings.ts";
import type { Argv, Host } from "../hosts/host.ts";
import { hiveStateDir } from "../hosts/host-path.ts";

/** The last lines of a hive daemon's log, as its host has them. Throws `host_unreachable`, `deadline_exceeded`. */
export async function readHiveLog(
  host: Host,
  hive: Pick<HiveSettings, "id" | "stateDir">,
  lines: number,
  deadline: Deadline,
  signal: AbortSignal,
): Promise<string> {
  const facts = await host.facts(deadline, signal);
  const argv = tailArgv(hiveStateDir(hive, facts), lines);
  const end = await host.exec(argv, { deadline, signal });
  if (end.exitCode === 0) return end.stdout;
  throw new QhError(
    "host_unreachable",
    `cannot read the log of ${hive.id} on ${host.name}: ${end.stderr.trim() || `exit code ${end.exitCode ?? "none"}`}; it has one once it was started`,
  );
}

/** `tail` of the log in a hive's state directory. */
function tailArgv(stateDir: string, lines: number): Argv {
  return ["tail", "-n", String(lines), `${stateDir}/logs/hive.log`];
}
