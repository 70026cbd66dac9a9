import { existsSync } from "node:fs";
import { systemClock } from "@queen-and-hive/daemon/basics";
import { type Capabilities, formatBytes } from "@queen-and-hive/protocol";
import { ownEnvironment } from "../config-environment.ts";
import { loadHiveSettings } from "../config-load.ts";
import { capabilitiesOf } from "../resources/capabilities.ts";
import { Devices } from "../resources/devices.ts";
import { embeddedWorker, ownForm } from "../resources/embedded-worker.ts";
import { VERSION } from "./build-info.ts";
import { findState } from "./find-state.ts";
import { type CommandResult, note, table } from "./output.ts";

/** The flags of `hive doctor`. */
export interface DoctorFlags {
  readonly config?: string;
  readonly stateDir?: string;
}

/** `hive doctor`: what this machine has for workers, looked up now and without a daemon; changes nothing. Throws `invalid_config`. */
export async function doctor(flags: DoctorFlags): Promise<CommandResult> {
  const paths = findState(flags);
  const environment = ownEnvironment();
  const file = flags.config ?? (existsSync(paths.config) ? paths.config : null);
  const { settings } = loadHiveSettings(file, environment);
  const searchPath = settings.env["PATH"] ?? environment["PATH"] ?? "";
  const answer = await capabilitiesOf({
    settings,
    version: VERSION,
    stateDir: existsSync(paths.dir) ? paths.dir : "/",
    embedded: embeddedWorker(ownForm()),
    searchPath,
    clock: systemClock,
    devices: new Devices({
      searchPath,
      named: settings.devices.use ?? [],
      clock: systemClock,
      log: { warn: (message, fields) => note(`${message}: ${Object.values(fields ?? {}).join(", ")}`) },
    }),
  });
  return { json: answer, text: report(answer) };
}

function report(answer: Capabilities): string {
  const { os, arch, cpus, memory_free_bytes: free, memory_total_bytes: total, disk_free_bytes: disk } = answer;
  const machine = `${os} ${arch}, ${cpus} cores, ${formatBytes(free)} of ${formatBytes(total)} memory free, ${sizeOf(disk)} of disk free`;
  const devices = answer.devices.map((device) => [
    device.id,
    device.name,
    sizeOf(device.memory_total_bytes),
    sizeOf(device.memory_free_bytes),
  ]);
  const runtimes = answer.runtimes.map(({ name, available, version, path, reason }) => [
    name,
    available ? "yes" : "no",
    version ?? "-",
    path ?? reason ?? "-",
  ]);
  return [
    machine,
    "",
    table([["DEVICE", "NAME", "MEMORY", "FREE"], ...devices]),
    "",
    table([["RUNTIME", "FOUND", "VERSION", "WHERE"], ...runtimes]),
  ].join("\n");
}

function sizeOf(bytes: number | null): string {
  return bytes === null ? "unknown" : formatBytes(bytes);
}
