import { systemClock } from "@queen-and-hive/daemon";
import type { DeviceUse } from "../src/resources/device.ts";
import { cpuDevice, type DeviceReading, type Devices } from "../src/resources/devices.ts";

/** A GPU of a test; its memory and what it computes change when the test says so. */
export interface TestGpu {
  readonly id: string;
  totalBytes: number;
  usedBytes: number;
  /** 0 to 1; null when the driver does not tell. */
  utilizationRatio: number | null;
}

/** The devices of a test's machine: these GPUs, or its real processor without any. */
export class TestDevices implements Pick<Devices, "read" | "latest"> {
  readonly gpus: TestGpu[];
  uses: DeviceUse[] = [];
  trouble: string | null = null;
  latest: DeviceReading | null = null;

  constructor(gpus: readonly (Partial<TestGpu> & { readonly id: string })[] = []) {
    this.gpus = gpus.map((gpu) => ({ totalBytes: 24 * GIB, usedBytes: 0, utilizationRatio: null, ...gpu }));
  }

  async read(): Promise<DeviceReading> {
    const gpus = this.gpus.map(({ id, totalBytes, usedBytes, utilizationRatio }) => ({
      id,
      kind: "cuda" as const,
      name: "a GPU of a test",
      memoryTotalBytes: totalBytes,
      memoryUsedBytes: usedBytes,
      utilizationRatio,
    }));
    this.latest = {
      devices: gpus.length === 0 ? [cpuDevice()] : gpus,
      uses: this.uses,
      trouble: this.trouble,
      atMs: systemClock.monotonicMs(),
    };
    return this.latest;
  }
}

/** Bytes. */
export const GIB = 1024 ** 3;
