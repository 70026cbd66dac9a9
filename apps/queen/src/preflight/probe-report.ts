import { nameNetworkFileSystem } from "@queen-and-hive/daemon";
import { QhError } from "@queen-and-hive/protocol";
import { lastWords } from "../hosts/framed-line.ts";
import { type FramedValues, readFrame, wholeNumber } from "../hosts/framed-values.ts";
import type { CommandEnd } from "../hosts/host.ts";

/** A directory that we need on a host, or its nearest parent that exists. */
export interface StorageReport {
  readonly place: string;
  /** Something that is no directory stands in the way. */
  readonly blocked: string | null;
  readonly writable: boolean;
  /** The name of the network file system that it is on; null for a local one. */
  readonly network: string | null;
  readonly noexec: boolean;
  readonly freeBytes: number | null;
}

/** A GPU of NVIDIA's as its own tool tells of it. */
export interface NvidiaDevice {
  readonly uuid: string;
  readonly name: string;
  readonly memoryBytes: number;
  readonly driver: string;
}

/** What answered when the hive program was asked. */
export type HiveProgramReport =
  | { readonly kind: "unasked" }
  | { readonly kind: "missing" }
  | { readonly kind: "failed"; readonly complaint: string }
  | { readonly kind: "answered"; readonly version: string; readonly status: string | null };

/** What a probe has found out about a host. */
export interface ProbeReport {
  /** The host's clock when the probe began, Unix seconds. */
  readonly timeS: number;
  readonly os: string;
  readonly kernel: string;
  /** As `uname -m` has it. */
  readonly arch: string;
  readonly user: string;
  readonly libc: string;
  readonly missingTools: readonly string[];
  /** Whether its `flock` knows what a start needs. */
  readonly flock: boolean;
  readonly memory: { readonly totalBytes: number; readonly availableBytes: number } | null;
  readonly state: StorageReport;
  readonly install: StorageReport | null;
  readonly models: "found" | "missing" | null;
  /** Display controllers on its PCI bus, whether a driver has them or not. */
  readonly pci: { readonly nvidia: number; readonly amd: number };
  readonly nvidia: readonly NvidiaDevice[];
  readonly nvidiaError: string | null;
  readonly amdTool: string | null;
  readonly amdError: string | null;
  /** Memory of each AMD device, bytes. */
  readonly amdMemoryBytes: readonly number[];
  /** The process of the hive daemon that was last known in the state directory. */
  readonly identityPid: number | null;
  /** Who listens on the daemon's port; null when nobody does. */
  readonly port: { readonly user: string; readonly pid: number | null; readonly command: string } | null;
  readonly bins: readonly { readonly index: number; readonly found: boolean; readonly bin: string }[];
  readonly engines: readonly { readonly name: string; readonly onPath: boolean; readonly path: string }[];
  readonly hive: HiveProgramReport;
}

/** The probe's output -> what it says; nothing outside of its frame counts. Throws `host_unreachable` when it is not whole. */
export function parseProbe(end: CommandEnd, hostName: string): ProbeReport {
  const values = readFrame(end.stdout, "queen-probe");
  if (values !== null && !values.has("no_scratch")) return reportOf(values);
  const why = values === null ? `it did not answer whole (${lastWords(end)})` : "it cannot make a temporary directory";
  throw new QhError("host_unreachable", `cannot look at ${hostName}: ${why}; try "sh -c true" and "mktemp -d" there`);
}

function reportOf(values: FramedValues): ProbeReport {
  return {
    timeS: values.number("time") ?? 0,
    os: values.text("os") ?? "unknown",
    kernel: values.text("kernel") ?? "unknown",
    arch: values.text("arch") ?? "unknown",
    user: values.text("user") ?? "unknown",
    libc: values.text("libc") ?? "unknown",
    missingTools: values.all("missing"),
    flock: values.text("flock") === "ok",
    memory: memoryOf(values.text("memory")),
    state: storageOf(values, "state"),
    install: values.has("install.place") ? storageOf(values, "install") : null,
    models: modelsOf(values.text("models")),
    pci: { nvidia: countOf(values, "nvidia"), amd: countOf(values, "amd") },
    nvidia: values.all("nvidia").flatMap(nvidiaOf),
    nvidiaError: values.text("nvidia_error"),
    amdTool: values.text("amd_tool"),
    amdError: values.text("amd_error"),
    amdMemoryBytes: values.all("amd_memory").flatMap((text) => wholeNumber(text, 10) ?? []),
    identityPid: values.number("identity_pid"),
    port: portOf(values),
    bins: values.all("bin").flatMap(binOf),
    engines: values.all("engine").flatMap(engineOf),
    hive: hiveOf(values),
  };
}

function memoryOf(text: string | null): ProbeReport["memory"] {
  const [total, available] = (text ?? "").split(" ").map((part) => wholeNumber(part, 10));
  if (total === undefined || total === null || available === undefined || available === null) return null;
  return { totalBytes: total * KIB, availableBytes: available * KIB };
}

const KIB = 1_024;
const MIB = 1_048_576;

function storageOf(values: FramedValues, name: "state" | "install"): StorageReport {
  const freeKib = values.number(`${name}.free_kib`);
  const type = values.text(`${name}.type`);
  return {
    place: values.text(`${name}.place`) ?? "/",
    blocked: values.text(`${name}.blocked`),
    writable: values.has(`${name}.writable`),
    network: nameNetworkFileSystem(values.number(`${name}.magic`, 16) ?? 0, type),
    noexec: (values.text(`${name}.options`) ?? "").split(",").includes("noexec"),
    freeBytes: freeKib === null ? null : freeKib * KIB,
  };
}

function modelsOf(text: string | null): ProbeReport["models"] {
  return text === "found" || text === "missing" ? text : null;
}

function countOf(values: FramedValues, vendor: string): number {
  return values.all("pci").filter((found) => found === vendor).length;
}

/** One line of `nvidia-smi --format=csv,noheader,nounits`; its memory is in MiB. A name may have commas. */
function nvidiaOf(line: string): readonly NvidiaDevice[] {
  const parts = line.split(",").map((part) => part.trim());
  const [uuid] = parts;
  const memoryMib = wholeNumber(parts.at(-2) ?? null, 10);
  if (parts.length < 4 || uuid === undefined || memoryMib === null) return [];
  return [{ uuid, name: parts.slice(1, -2).join(", "), memoryBytes: memoryMib * MIB, driver: parts.at(-1) ?? "" }];
}

function portOf(values: FramedValues): ProbeReport["port"] {
  const user = values.text("port_user");
  if (user === null) return null;
  const [, pid, command] = /^([0-9]+) ?(.*)$/.exec(values.text("port_owner") ?? "") ?? [];
  return { user, pid: wholeNumber(pid ?? null, 10), command: command ?? "" };
}

function binOf(line: string): ProbeReport["bins"] {
  const [, index, state, bin] = /^([0-9]+) (found|missing) (.+)$/.exec(line) ?? [];
  return index === undefined || bin === undefined ? [] : [{ index: Number(index), found: state === "found", bin }];
}

function engineOf(line: string): ProbeReport["engines"] {
  const [, name, how, path] = /^(\S+) (path|aside) (.+)$/.exec(line) ?? [];
  return name === undefined || path === undefined ? [] : [{ name, onPath: how === "path", path }];
}

function hiveOf(values: FramedValues): HiveProgramReport {
  const version = values.text("hive_version");
  if (version !== null) return { kind: "answered", version, status: values.text("hive_status") };
  if (values.has("hive_missing")) return { kind: "missing" };
  const complaint = values.text("hive_error");
  return complaint === null ? { kind: "unasked" } : { kind: "failed", complaint };
}
