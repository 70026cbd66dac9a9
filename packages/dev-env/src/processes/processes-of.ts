import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { type ProcessIdentity, readProcessIdentity } from "@queen-and-hive/daemon";
import { WORKER_ENV } from "@queen-and-hive/protocol";

/** What gives a process away as one of a test's: its marker, or the test's folder in one of these places. */
export type Trace = "marker" | "cwd" | "command" | "environment" | "descriptor";

/** A live process that belongs to what was asked for. */
export interface FoundProcess {
  readonly identity: ProcessIdentity;
  /** Its argv, joined for people. */
  readonly command: string;
  readonly traces: readonly Trace[];
}

/** Whose processes are wanted: those that carry a hive's state id, those that have to do with a folder, or both. */
export interface ProcessSearch {
  readonly stateId?: string;
  readonly folder?: string;
}

/**
 * Every live process of this machine that shows any trace of the search, this one excepted; zombies are dead. Meant for
 * tests, whose folders and state ids are random: one trace is enough here.
 */
export function processesOf(search: ProcessSearch): readonly FoundProcess[] {
  return readdirSync("/proc")
    .filter((name) => /^[0-9]+$/.test(name) && Number(name) !== process.pid)
    .flatMap((name) => {
      const traces = tracesOf(`/proc/${name}`, search);
      const identity = traces.length === 0 ? null : readProcessIdentity(Number(name));
      return identity === null ? [] : [{ identity, command: readWords(`/proc/${name}/cmdline`).join(" "), traces }];
    });
}

/** Found processes as lines for an error message. */
export function describeProcesses(found: readonly FoundProcess[]): string {
  return found.map(({ identity, command, traces }) => `pid ${identity.pid} (${traces.join(", ")}): ${command}`).join("\n");
}

function tracesOf(place: string, search: ProcessSearch): readonly Trace[] {
  const { stateId, folder } = search;
  const environment = readWords(`${place}/environ`);
  const traces: Trace[] = [];
  if (stateId !== undefined && environment.includes(`${WORKER_ENV.stateId}=${stateId}`)) traces.push("marker");
  if (folder === undefined) return traces;
  const inside = (path: string): boolean => path === folder || path.startsWith(`${folder}/`);
  if (inside(readLink(`${place}/cwd`))) traces.push("cwd");
  if (readWords(`${place}/cmdline`).some((word) => word.includes(folder))) traces.push("command");
  if (environment.some((word) => word.includes(folder))) traces.push("environment");
  if (descriptorsOf(place).some(inside)) traces.push("descriptor");
  return traces;
}

function descriptorsOf(place: string): readonly string[] {
  try {
    return readdirSync(`${place}/fd`).map((name) => readLink(`${place}/fd/${name}`));
  } catch {
    return [];
  }
}

/** Entries vanish while they are read: what cannot be read is not there. */
function readLink(path: string): string {
  try {
    return readlinkSync(path).replace(/ \(deleted\)$/, "");
  } catch {
    return "";
  }
}

function readWords(path: string): readonly string[] {
  try {
    return readFileSync(path, "utf8")
      .split("\0")
      .filter((word) => word !== "");
  } catch {
    return [];
  }
}
