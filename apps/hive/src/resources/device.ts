/** The id of the device of a machine without GPUs, and of workers that need none: any number of workers share it. */
export const CPU = "cpu";

/** A device that workers compute on, as its driver describes it now. Null: the driver does not say. */
export interface Device {
  /** Its UUID, or `cpu`. */
  readonly id: string;
  readonly kind: "cuda" | "rocm" | "cpu";
  readonly name: string;
  readonly memoryTotalBytes: number | null;
  /** By whomever. */
  readonly memoryUsedBytes: number | null;
  /** 0 to 1. */
  readonly utilizationRatio: number | null;
}

/** Memory of a device that one process has. */
export interface DeviceUse {
  readonly pid: number;
  readonly deviceId: string;
  readonly bytes: number;
}
