import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseJson } from "@queen-and-hive/daemon";
import type { Device } from "./device.ts";

/** The arguments of `rocm-smi` that `parseRocmSmi` reads the output of. */
export const ROCM_SMI_QUERY: readonly string[] = [
  "--showuniqueid",
  "--showproductname",
  "--showmeminfo",
  "vram",
  "--showuse",
  "--json",
];

/** Where the kernel shows its graphics cards. */
export const DRM_DIR = "/sys/class/drm";

/**
 * The GPUs that the amdgpu driver shows in sysfs (kernel documentation, "Misc AMDGPU driver information"): no tool that can
 * hang, no installation. Their order is that of their cards, which ROCm's numbers follow.
 */
export function readAmdSysfs(drmDir: string): readonly Device[] {
  return namesIn(drmDir)
    .filter((name) => /^card[0-9]+$/.test(name))
    .sort((one, other) => Number(one.slice(4)) - Number(other.slice(4)))
    .map((name) => join(drmDir, name, "device"))
    .filter((dir) => textOf(dir, "vendor") === AMD_VENDOR && textOf(dir, "mem_info_vram_total") !== null)
    .map((dir, index) => ({
      id: idOf(textOf(dir, "unique_id"), index),
      kind: "rocm" as const,
      name: textOf(dir, "product_name") || `AMD GPU ${textOf(dir, "device") ?? ""}`.trim(),
      memoryTotalBytes: numberOf(textOf(dir, "mem_info_vram_total")),
      memoryUsedBytes: numberOf(textOf(dir, "mem_info_vram_used")),
      utilizationRatio: ratioOf(textOf(dir, "gpu_busy_percent")),
    }));
}

/** `rocm-smi ... --json`: an object by card, in whose keys releases differ. What is not JSON has no devices. */
export function parseRocmSmi(text: string): readonly Device[] {
  // Warnings come before the object.
  const cards = entriesOf(parseJson(text.slice(Math.max(0, text.indexOf("{")))));
  return cards
    .filter(([name]) => /^card[0-9]+$/.test(name))
    .map(([, card], index) => {
      const facts = new Map(entriesOf(card).map(([key, value]) => [key.toLowerCase(), String(value)]));
      return {
        id: idOf(facts.get("unique id") ?? null, index),
        kind: "rocm" as const,
        name: facts.get("card series") ?? facts.get("device name") ?? "AMD GPU",
        memoryTotalBytes: numberOf(facts.get("vram total memory (b)") ?? null),
        memoryUsedBytes: numberOf(facts.get("vram total used memory (b)") ?? null),
        utilizationRatio: ratioOf(facts.get("gpu use (%)") ?? null),
      };
    });
}

const AMD_VENDOR = "0x1002";

/** ROCm's UUID is `GPU-` and 16 hexadecimal digits; consumer cards have none and are known by their number. */
function idOf(uniqueId: string | null, index: number): string {
  const digits = /^(?:0x)?([0-9a-f]{1,16})$/i
    .exec(uniqueId ?? "")?.[1]
    ?.toLowerCase()
    .padStart(16, "0");
  return digits === undefined || /^0+$/.test(digits) ? `AMD-${index}` : `GPU-${digits}`;
}

function numberOf(text: string | null): number | null {
  return text !== null && /^[0-9]+$/.test(text) ? Number(text) : null;
}

function ratioOf(text: string | null): number | null {
  const percent = numberOf(text);
  return percent === null ? null : percent / 100;
}

function textOf(dir: string, name: string): string | null {
  try {
    return readFileSync(join(dir, name), "utf8").trim();
  } catch {
    return null;
  }
}

function namesIn(dir: string): readonly string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}

function entriesOf(value: unknown): readonly [string, unknown][] {
  return typeof value === "object" && value !== null ? Object.entries(value) : [];
}
