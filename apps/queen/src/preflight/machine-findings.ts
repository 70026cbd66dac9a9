import { formatBytes, formatDurationMs, type HiveFinding } from "@queen-and-hive/protocol";
import type { PreflightSettings } from "../config/settings.ts";
import { ARCHITECTURES } from "../hosts/architectures.ts";
import { fail, ok, warn } from "./finding.ts";
import type { ProbeReport } from "./probe-report.ts";

/** When the probe ran, by our own clock: Unix milliseconds before it was sent and after it was answered. */
export interface ProbeTimes {
  readonly sentMs: number;
  readonly answeredMs: number;
}

/** The oldest glibc that the official builds of Node 24, and so our executable, run with (its BUILDING.md). */
const GLIBC_MIN: readonly [number, number] = [2, 28];

/** What has to be true of the machine itself. `isInstalled`: our executable runs there, not this checkout. */
export function machineFindings(
  report: ProbeReport,
  times: ProbeTimes,
  limits: PreflightSettings,
  isInstalled: boolean,
): readonly HiveFinding[] {
  return [
    osFinding(report),
    ...(isInstalled ? [archFinding(report), libcFinding(report)] : []),
    toolsFinding(report),
    memoryFinding(report, limits),
    clockFinding(report, times, limits),
  ];
}

function osFinding({ os, kernel }: ProbeReport): HiveFinding {
  if (os === "Linux") return ok("os", `Linux ${kernel}`);
  return fail("os", os, "a hive runs on Linux only; give this host as an upstream instead");
}

function archFinding({ arch }: ProbeReport): HiveFinding {
  if (ARCHITECTURES[arch] !== undefined) return ok("arch", arch);
  return fail("arch", arch, `a hive is built for ${Object.keys(ARCHITECTURES).join(" and ")} only`);
}

function libcFinding({ libc }: ProbeReport): HiveFinding {
  const [, major, minor] = /(?:glibc|GLIBC|libc\)?) ?([0-9]+)\.([0-9]+)/.exec(libc) ?? [];
  const [least, leastMinor] = GLIBC_MIN;
  if (/musl/i.test(libc) || major === undefined) {
    return fail(
      "glibc",
      libc,
      "the hive's executable needs glibc: use a distribution with it (Debian, Ubuntu, Fedora), or a container",
    );
  }
  const isNewEnough = Number(major) > least || (Number(major) === least && Number(minor) >= leastMinor);
  if (isNewEnough) return ok("glibc", `${major}.${minor}`);
  return fail(
    "glibc",
    `${major}.${minor}`,
    `upgrade the distribution: the hive's executable needs ${least}.${leastMinor} or newer`,
  );
}

function toolsFinding({ missingTools, flock }: ProbeReport): HiveFinding {
  if (missingTools.length > 0) {
    const packages = missingTools.includes("flock") ? "util-linux" : "coreutils and gzip";
    return fail("tools", `no ${missingTools.join(", ")}`, `install ${packages} there`);
  }
  if (!flock)
    return fail("tools", "a flock that knows no -F and -E", "install util-linux 2.34 or newer there: a start needs its flock");
  return ok("tools", "flock, gzip, sha256sum and the usual ones");
}

function memoryFinding({ memory }: ProbeReport, { memoryFreeBytes }: PreflightSettings): HiveFinding {
  if (memory === null) return warn("memory", "unknown", "look at /proc/meminfo there");
  const found = `${formatBytes(memory.availableBytes)} free of ${formatBytes(memory.totalBytes)}`;
  if (memory.availableBytes >= memoryFreeBytes) return ok("memory", found);
  return warn("memory", found, "free some: models are mapped into it, and a machine without memory kills its processes");
}

function clockFinding(
  { timeS }: ProbeReport,
  { sentMs, answeredMs }: ProbeTimes,
  { clockSkewMs }: PreflightSettings,
): HiveFinding {
  const earliestMs = timeS * 1_000;
  const latestMs = earliestMs + 999;
  const skewMs = latestMs < sentMs ? latestMs - sentMs : Math.max(0, earliestMs - answeredMs);
  const found =
    skewMs === 0 ? "the same time as here" : `${formatDurationMs(Math.abs(skewMs))} ${skewMs < 0 ? "behind" : "ahead"}`;
  if (Math.abs(skewMs) <= clockSkewMs) return ok("clock", found);
  return warn(
    "clock",
    found,
    "set up time synchronisation (chrony, systemd-timesyncd): logs and journals of the two will not line up",
  );
}
