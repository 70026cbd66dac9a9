import { statfs } from "node:fs/promises";
import { availableParallelism, cpus, freemem, totalmem } from "node:os";
import type { Capabilities } from "@queen-and-hive/protocol";
import type { HiveSettings } from "../config.ts";
import type { EmbeddedLauncher } from "../workers/supervisor-options.ts";
import { findProgram } from "./find-program.ts";

/** What is asked about this machine. */
export interface CapabilitiesQuestion {
  readonly settings: Pick<HiveSettings, "hiveId" | "modelsDir" | "runtimes">;
  readonly version: string;
  /** Disk space is looked up where models lie, else here. */
  readonly stateDir: string;
  readonly embedded: EmbeddedLauncher | { readonly unavailable: string };
  readonly searchPath: string;
}

/** `GET /v1/capabilities`: this machine as it is now. A machine without GPUs has the one device `cpu`. */
export async function capabilitiesOf(question: CapabilitiesQuestion): Promise<Capabilities> {
  const { settings, version, stateDir } = question;
  const cores = availableParallelism();
  return {
    hive_id: settings.hiveId,
    version,
    os: process.platform,
    arch: process.arch,
    cpus: cores,
    memory_total_bytes: totalmem(),
    memory_free_bytes: freemem(),
    disk_free_bytes: (await freeBytes(settings.modelsDir)) ?? (await freeBytes(stateDir)),
    devices: [
      {
        id: "cpu",
        kind: "cpu",
        name: `${cpus()[0]?.model.trim() ?? process.arch} (${cores} cores)`,
        memory_total_bytes: totalmem(),
        memory_free_bytes: freemem(),
      },
    ],
    runtimes: [embeddedRuntime(question), ...configuredRuntimes(question)],
  };
}

function embeddedRuntime({ embedded, version }: CapabilitiesQuestion): Capabilities["runtimes"][number] {
  if ("unavailable" in embedded)
    return { name: "embedded", available: false, path: null, version: null, reason: embedded.unavailable };
  return { name: "embedded", available: true, path: embedded.command.at(-1) ?? null, version, reason: null };
}

function configuredRuntimes({ settings, searchPath }: CapabilitiesQuestion): Capabilities["runtimes"] {
  return Object.entries(settings.runtimes).flatMap(([name, { bin }]) => {
    if (bin === undefined) return [];
    const path = findProgram(bin, searchPath);
    const reason = path === null ? `there is no program ${bin}; install it or change runtimes.${name}.bin` : null;
    return [{ name, available: path !== null, path, version: null, reason }];
  });
}

async function freeBytes(path: string | null): Promise<number | null> {
  if (path === null) return null;
  try {
    const { bavail, bsize } = await statfs(path);
    return bavail * bsize;
  } catch {
    // A models directory that is not mounted now has no space to tell of.
    return null;
  }
}
