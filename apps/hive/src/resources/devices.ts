import { existsSync } from "node:fs";
import { cpus, freemem, totalmem } from "node:os";
import type { Clock, Log } from "@queen-and-hive/daemon";
import { findProgram } from "../runtimes/find-program.ts";
import { DRM_DIR, parseRocmSmi, ROCM_SMI_QUERY, readAmdSysfs } from "./amd.ts";
import { CPU, type Device, type DeviceUse } from "./device.ts";
import { NVIDIA_DEVICES_QUERY, NVIDIA_USES_QUERY, parseNvidiaDevices, parseNvidiaUses } from "./nvidia.ts";
import { runTool } from "./run-tool.ts";

/** All devices of the machine at one moment. */
export interface DeviceReading {
  /** The GPUs, or the one device `cpu` where there is none. */
  readonly devices: readonly Device[];
  readonly uses: readonly DeviceUse[];
  /** Why numbers are missing; null when every tool answered. */
  readonly trouble: string | null;
  /** Monotonic. */
  readonly atMs: number;
}

/** What a look at the devices needs. */
export interface DevicesOptions {
  readonly searchPath: string;
  /** Devices that the operator names are taken however small they are. */
  readonly named: readonly string[];
  readonly clock: Clock;
  readonly log: Pick<Log, "warn">;
  /** Where the kernel shows graphics cards; for tests. */
  readonly drmDir?: string;
  /** Where tools are looked for beyond the search path; for tests. */
  readonly toolDirs?: readonly string[];
  readonly toolTimeoutMs?: number;
}

/** The devices of this machine, read when somebody asks; looks at the same time share one. */
export class Devices {
  readonly #options: DevicesOptions;
  #latest: DeviceReading | null = null;
  #looking: Promise<DeviceReading> | null = null;
  #complaint: string | null = null;
  /** NVIDIA's devices when its tool last answered: while it is stuck, they are there with unknown memory. */
  #nvidia: readonly Device[] = [];

  constructor(options: DevicesOptions) {
    this.#options = options;
  }

  /** The newest reading that is there; null before the first. */
  get latest(): DeviceReading | null {
    return this.#latest;
  }

  /** A reading that is at most this old. Never throws: a tool that fails or hangs leaves unknown numbers. */
  async read(ageMaxMs = 0): Promise<DeviceReading> {
    const { clock } = this.#options;
    if (this.#latest !== null && ageMaxMs > 0 && clock.monotonicMs() - this.#latest.atMs <= ageMaxMs) return this.#latest;
    this.#looking ??= this.#look().finally(() => {
      this.#looking = null;
    });
    return await this.#looking;
  }

  async #look(): Promise<DeviceReading> {
    const { clock, named } = this.#options;
    const troubles: string[] = [];
    const onTrouble = (reason: string): void => void troubles.push(reason);
    const [nvidia, amd] = await Promise.all([this.#lookAtNvidia(onTrouble), this.#lookAtAmd(onTrouble)]);
    const gpus = [...nvidia.devices, ...amd].filter(
      ({ id, memoryTotalBytes }) => named.includes(id) || memoryTotalBytes === null || memoryTotalBytes >= GPU_BYTES_MIN,
    );
    const devices = gpus.length === 0 ? [cpuDevice()] : gpus;
    this.#latest = { devices, uses: nvidia.uses, trouble: troubles[0] ?? null, atMs: clock.monotonicMs() };
    return this.#latest;
  }

  async #lookAtNvidia(
    onTrouble: OnTrouble,
  ): Promise<{ readonly devices: readonly Device[]; readonly uses: readonly DeviceUse[] }> {
    const tool = this.#find("nvidia-smi");
    if (tool === null) return { devices: [], uses: [] };
    const [devices, uses] = await Promise.all([
      this.#run(tool, NVIDIA_DEVICES_QUERY, onTrouble),
      this.#run(tool, NVIDIA_USES_QUERY, onTrouble),
    ]);
    if (devices === null) return { devices: this.#nvidia.map(withoutNumbers), uses: [] };
    this.#nvidia = parseNvidiaDevices(devices);
    return { devices: this.#nvidia, uses: uses === null ? [] : parseNvidiaUses(uses) };
  }

  async #lookAtAmd(onTrouble: OnTrouble): Promise<readonly Device[]> {
    const shown = readAmdSysfs(this.#options.drmDir ?? DRM_DIR);
    if (shown.length > 0) return shown;
    const tool = this.#find("rocm-smi");
    return tool === null ? [] : parseRocmSmi((await this.#run(tool, ROCM_SMI_QUERY, onTrouble)) ?? "");
  }

  #find(tool: string): string | null {
    const { searchPath, toolDirs = TOOL_DIRS } = this.#options;
    return findProgram(tool, [searchPath, ...toolDirs].join(":"));
  }

  async #run(tool: string, args: readonly string[], onTrouble: OnTrouble): Promise<string | null> {
    const { clock, log, toolTimeoutMs = TOOL_MS } = this.#options;
    const answer = await runTool(tool, args, toolTimeoutMs, clock);
    if ("said" in answer) return answer.said;
    onTrouble(answer.failed);
    // Said once, not at every look.
    if (this.#complaint !== answer.failed) log.warn("cannot read the devices", { reason: answer.failed });
    this.#complaint = answer.failed;
    return null;
  }
}

/** The machine without GPUs as one device, which any number of workers share. */
export function cpuDevice(): Device {
  return {
    id: CPU,
    kind: "cpu",
    name: `${cpus()[0]?.model.trim() ?? process.arch} (${cpus().length} cores)`,
    memoryTotalBytes: totalmem(),
    memoryUsedBytes: totalmem() - freemem(),
    utilizationRatio: null,
  };
}

/** A healthy `nvidia-smi` takes well under a second. */
const TOOL_MS = 5_000;
/** What is smaller is a graphics output of a processor, on which no model fits; `devices.use` takes it all the same. */
const GPU_BYTES_MIN = 2 * 1024 ** 3;
/** WSL, NixOS, container images and ROCm keep their tools there. */
const TOOL_DIRS: readonly string[] = [
  "/usr/bin",
  "/usr/local/nvidia/bin",
  "/usr/lib/wsl/lib",
  "/run/current-system/sw/bin",
  "/opt/rocm/bin",
].filter((dir) => existsSync(dir));

type OnTrouble = (reason: string) => void;

function withoutNumbers(device: Device): Device {
  return { ...device, memoryUsedBytes: null, utilizationRatio: null };
}
