import { QhError } from "@queen-and-hive/protocol";
import { lastWords } from "../hosts/framed-line.ts";
import { type FramedValues, readFrame } from "../hosts/framed-values.ts";
import type { CommandEnd } from "../hosts/host.ts";

/** What is installed on a host. */
export interface InstallationReport {
  /** As `uname -m` has it. */
  readonly arch: string;
  /** Where `current` points to, as the link has it; null when there is none. */
  readonly current: string | null;
  /** Whether there is a program behind it. */
  readonly currentRuns: boolean;
  /** The version behind `current` has not had its hand-shake, and what to go back to if it fails; null when it had. */
  readonly trial: { readonly previous: string | null } | null;
  /** What stands at `current` and was not put there by us: what its hive says of itself; null when there is none. */
  readonly foreign: string | null;
  /** The versions that are whole, by SHA-256. */
  readonly versions: readonly string[];
  /** Version -> SHA-256 of the worker's bundle that is unpacked there. */
  readonly workers: ReadonlyMap<string, string>;
  /** Something that is no directory stands in the way. */
  readonly blocked: string | null;
  readonly writable: boolean;
  readonly freeBytes: number | null;
  /** The process of the daemon that runs, by its identity; null when none does. */
  readonly runningPid: number | null;
}

/** The output of `look` -> what it says. Throws `host_unreachable` when it is not whole. */
export function parseInstallation(end: CommandEnd, hostName: string): InstallationReport {
  const values = valuesOf(end, hostName);
  const freeKib = values.number("free_kib");
  return {
    arch: values.text("arch") ?? "unknown",
    current: values.text("current"),
    currentRuns: values.has("current_runs"),
    trial: values.has("trial") ? { previous: values.text("trial") } : null,
    foreign: values.has("foreign") ? (values.text("foreign") ?? "nothing") : null,
    versions: values.all("version"),
    workers: new Map(values.all("worker").map((line) => pairOf(line))),
    blocked: values.text("blocked"),
    writable: values.has("writable"),
    freeBytes: freeKib === null ? null : freeKib * KIB,
    runningPid: values.number("running"),
  };
}

/** The output of a step that changes something -> its values. Throws `install_failed` with the host's reason. */
export function parseStep(end: CommandEnd, hostName: string): FramedValues {
  const values = valuesOf(end, hostName);
  const reason = values.text("failed");
  if (reason !== null) throw new QhError("install_failed", `cannot install the hive on ${hostName}: ${reason}`);
  return values;
}

const KIB = 1_024;

function valuesOf(end: CommandEnd, hostName: string): FramedValues {
  const values = readFrame(end.stdout, "queen-install");
  if (values !== null) return values;
  throw new QhError("host_unreachable", `cannot install the hive on ${hostName}: it did not answer whole (${lastWords(end)})`);
}

function pairOf(line: string): readonly [string, string] {
  const [version = "", worker = ""] = line.split(" ");
  return [version, worker];
}
