import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { parseRocmSmi, readAmdSysfs } from "./amd.ts";
import { parseNvidiaDevices, parseNvidiaUses } from "./nvidia.ts";

// Outputs as people have published them for the queries that we make; identifiers are shortened to nobody's.

const MIB = 1024 * 1024;

describe("nvidia-smi", () => {
  it("names each GPU with its memory in MiB and how busy it is", () => {
    const text =
      "GPU-1a2b3c4d-0000-0000-0000-000000000001, NVIDIA GeForce RTX 4090, 24564, 428, 7\n" +
      "GPU-1a2b3c4d-0000-0000-0000-000000000002, NVIDIA H100 80GB HBM3, 81559, 79000, 100\n";
    expect(parseNvidiaDevices(text)).toEqual([
      {
        id: "GPU-1a2b3c4d-0000-0000-0000-000000000001",
        kind: "cuda",
        name: "NVIDIA GeForce RTX 4090",
        memoryTotalBytes: 24564 * MIB,
        memoryUsedBytes: 428 * MIB,
        utilizationRatio: 0.07,
      },
      expect.objectContaining({ name: "NVIDIA H100 80GB HBM3", memoryUsedBytes: 79000 * MIB, utilizationRatio: 1 }),
    ]);
  });

  it("says of some numbers that there are none (unified memory, virtual GPUs, a lost card)", () => {
    const text =
      "GPU-0f0e0d0c-0000-0000-0000-000000000003, NVIDIA GB10, [N/A], [N/A], 0\n" +
      "GPU-0f0e0d0c-0000-0000-0000-000000000004, GRID A100-10C, 10240, [Unknown Error], [Not Supported]\n";
    expect(parseNvidiaDevices(text)).toEqual([
      expect.objectContaining({ memoryTotalBytes: null, memoryUsedBytes: null, utilizationRatio: 0 }),
      expect.objectContaining({ memoryTotalBytes: 10240 * MIB, memoryUsedBytes: null, utilizationRatio: null }),
    ]);
  });

  it("has no devices in what is no list", () => {
    expect(parseNvidiaDevices("No devices were found\n")).toEqual([]);
    expect(parseNvidiaDevices("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n")).toEqual([]);
    expect(parseNvidiaDevices("")).toEqual([]);
  });

  it("tells which process has how much of which GPU, where it may", () => {
    const text = "2191, GPU-1a2b3c4d-0000-0000-0000-000000000001, 18432\n2192, GPU-1a2b3c4d-0000-0000-0000-000000000001, [N/A]\n";
    const deviceId = "GPU-1a2b3c4d-0000-0000-0000-000000000001";
    expect(parseNvidiaUses(text)).toEqual([{ pid: 2191, deviceId, bytes: 18432 * MIB }]);
  });
});

describe("rocm-smi", () => {
  it("shows cards with and without a UUID, in the names of older and newer releases", () => {
    const text = `WARNING: AMD GPU device(s) is/are in a low-power state. Check power control/runtime_status

{"card0": {"Unique ID": "0x719d230578348e8c", "Card series": "AMD INSTINCT MI250 (MCM) OAM AC MBA", "GPU use (%)": "50",
 "VRAM Total Memory (B)": "68702699520", "VRAM Total Used Memory (B)": "51527024640"},
 "card1": {"Unique ID": "N/A", "Card Series": "Radeon RX 6800 XT", "GPU use (%)": "73",
 "VRAM Total Memory (B)": "17163091968", "VRAM Total Used Memory (B)": "5368709120"},
 "system": {"Driver version": "6.10.5"}}`;
    expect(parseRocmSmi(text)).toEqual([
      {
        id: "GPU-719d230578348e8c",
        kind: "rocm",
        name: "AMD INSTINCT MI250 (MCM) OAM AC MBA",
        memoryTotalBytes: 68702699520,
        memoryUsedBytes: 51527024640,
        utilizationRatio: 0.5,
      },
      expect.objectContaining({ id: "AMD-1", name: "Radeon RX 6800 XT", memoryTotalBytes: 17163091968, utilizationRatio: 0.73 }),
    ]);
  });

  it("pads a short identifier as ROCm's runtime does, and finds nothing in a text", () => {
    expect(parseRocmSmi('{"card0": {"Unique ID": "0x2150e7d042a1124"}}')[0]?.id).toBe("GPU-02150e7d042a1124");
    expect(parseRocmSmi("ERROR: GPU[0] : unable to read")).toEqual([]);
    expect(parseRocmSmi("")).toEqual([]);
  });
});

describe("sysfs", () => {
  const dir = mkdtempSync(join(tmpdir(), "qh-drm-"));
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  function card(name: string, files: Readonly<Record<string, string>>): void {
    mkdirSync(join(dir, name, "device"), { recursive: true });
    for (const [file, text] of Object.entries(files)) writeFileSync(join(dir, name, "device", file), `${text}\n`);
  }

  it("shows AMD's cards in the order of their numbers and no others", () => {
    const vram = { mem_info_vram_total: "17163091968", mem_info_vram_used: "1000", gpu_busy_percent: "3" };
    card("card0", { vendor: "0x8086" });
    card("card10", { vendor: "0x1002", device: "0x7550", ...vram });
    card("card2", { vendor: "0x1002", unique_id: "2150e7d042a1124f", product_name: "Radeon Pro W7900", ...vram });
    card("card2-DP-1", {});
    expect(readAmdSysfs(dir)).toEqual([
      expect.objectContaining({
        id: "GPU-2150e7d042a1124f",
        name: "Radeon Pro W7900",
        memoryUsedBytes: 1000,
        utilizationRatio: 0.03,
      }),
      expect.objectContaining({ id: "AMD-1", name: "AMD GPU 0x7550", memoryTotalBytes: 17163091968 }),
    ]);
    expect(readAmdSysfs(join(dir, "absent"))).toEqual([]);
  });
});
