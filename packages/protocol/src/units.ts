import { QhError } from "./errors.ts";

const DURATION_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const SIZE_BYTES: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1_000,
  MB: 1_000_000,
  GB: 1_000_000_000,
  TB: 1_000_000_000_000,
  KiB: 1_024,
  MiB: 1_048_576,
  GiB: 1_073_741_824,
  TiB: 1_099_511_627_776,
};

/** Pattern of a duration as people write it: `500ms`, `1.5s`, `5m`, `2h`, `1d`, or `off`. */
export const DURATION_PATTERN = "^(off|[0-9]+(\\.[0-9]+)?(ms|s|m|h|d))$";
/** Pattern of a size as people write it: `22GiB`, `50MB`, `512B`. */
export const SIZE_PATTERN = "^[0-9]+(\\.[0-9]+)?(B|KB|MB|GB|TB|KiB|MiB|GiB|TiB)$";

/** A duration in milliseconds; `off` is Infinity. Throws `invalid_config`. */
export function parseDurationMs(text: string): number {
  if (text === "off") return Number.POSITIVE_INFINITY;
  const match = /^([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)$/.exec(text);
  const factor = DURATION_MS[match?.[2] ?? ""];
  if (match === null || factor === undefined) {
    throw new QhError("invalid_config", `cannot read ${JSON.stringify(text)} as a duration; write 500ms, 10s, 5m, 2h, 1d or off`);
  }
  return Math.round(Number(match[1]) * factor);
}

/** A size in bytes. Throws `invalid_config`. */
export function parseSizeBytes(text: string): number {
  const match = /^([0-9]+(?:\.[0-9]+)?)([KMGT]?i?B)$/.exec(text);
  const factor = SIZE_BYTES[match?.[2] ?? ""];
  if (match === null || factor === undefined) {
    throw new QhError("invalid_config", `cannot read ${JSON.stringify(text)} as a size; write 512MiB, 22GiB or 50MB`);
  }
  return Math.round(Number(match[1]) * factor);
}

/** Milliseconds as people read them: `850ms`, `12.3s`, `4m 10s`, `2h 5m`, `3d 4h`, `off`. */
export function formatDurationMs(ms: number): string {
  if (ms === Number.POSITIVE_INFINITY) return "off";
  if (ms < 1_000) return `${Math.round(ms)}ms`;
  if (ms < 60_000) return `${Number((ms / 1_000).toFixed(1))}s`;
  if (ms < 3_600_000) return pair(ms, 60_000, "m", 1_000, "s");
  if (ms < 86_400_000) return pair(ms, 3_600_000, "h", 60_000, "m");
  return pair(ms, 86_400_000, "d", 3_600_000, "h");
}

/** Bytes as people read them: `812B`, `3.2MiB`, `22GiB`. */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1_024 && unit < units.length - 1) {
    value /= 1_024;
    unit += 1;
  }
  return `${Number(value.toFixed(1))}${units[unit]}`;
}

function pair(ms: number, large: number, largeName: string, small: number, smallName: string): string {
  const rest = Math.floor((ms % large) / small);
  return `${Math.floor(ms / large)}${largeName}${rest > 0 ? ` ${rest}${smallName}` : ""}`;
}
