import { formatBytes, type HiveFinding } from "@queen-and-hive/protocol";
import type { PreflightSettings } from "../config/settings.ts";
import { fail, ok, warn } from "./finding.ts";
import type { ProbeReport, StorageReport } from "./probe-report.ts";

/** The directories that a hive is given, by name and absolute path. */
export interface StoragePlaces {
  readonly stateDir: string;
  readonly installDir: string | null;
  readonly modelsDir: string | null;
}

/** What has to be true of the directories that we write to, and of the one with models. */
export function storageFindings(report: ProbeReport, places: StoragePlaces, limits: PreflightSettings): readonly HiveFinding[] {
  return [
    directoryFinding("state_dir", places.stateDir, report.state),
    diskFinding(report.state, limits),
    ...(report.install === null || places.installDir === null ? [] : [installFinding(places.installDir, report.install, limits)]),
    ...(report.models === null || places.modelsDir === null ? [] : [modelsFinding(places.modelsDir, report.models)]),
  ];
}

function directoryFinding(check: "state_dir" | "install_dir", path: string, storage: StorageReport): HiveFinding {
  if (storage.blocked !== null) return fail(check, `${storage.blocked} is no directory`, `move it away, or set ${check}`);
  if (!storage.writable) {
    return fail(
      check,
      `${storage.place} cannot be written to`,
      `give our user there the right to, or set ${check} to a place of its own`,
    );
  }
  if (check === "state_dir" && storage.network !== null) {
    return fail(
      check,
      `${path} is on a network file system (${storage.network})`,
      "set state_dir to a local directory: locks cannot be relied on there, and two machines would share it",
    );
  }
  return ok(check, path);
}

function installFinding(path: string, storage: StorageReport, { diskFreeBytes }: PreflightSettings): HiveFinding {
  const finding = directoryFinding("install_dir", path, storage);
  if (finding.level === "fail") return finding;
  if (storage.noexec)
    return fail("install_dir", `${path} is mounted noexec`, "set install_dir to a place from which programs may run");
  if (storage.freeBytes !== null && storage.freeBytes < diskFreeBytes) {
    return warn(
      "install_dir",
      `${formatBytes(storage.freeBytes)} free at ${storage.place}`,
      "free some: an upgrade keeps three versions",
    );
  }
  return finding;
}

function diskFinding({ freeBytes, place }: StorageReport, { diskFreeBytes }: PreflightSettings): HiveFinding {
  if (freeBytes === null) return warn("disk", `unknown at ${place}`, `look with "df ${place}" there`);
  const found = `${formatBytes(freeBytes)} free at ${place}`;
  if (freeBytes >= diskFreeBytes) return ok("disk", found);
  if (freeBytes < DISK_FREE_BYTES_LEAST)
    return fail("disk", found, "free some: a hive that cannot write its ledger starts no worker");
  return warn("disk", found, "free some: logs and the ledger are kept there");
}

/** With less than this a hive is not even started. */
const DISK_FREE_BYTES_LEAST = 16 * 1_048_576;

function modelsFinding(path: string, models: "found" | "missing"): HiveFinding {
  if (models === "found") return ok("models_dir", path);
  return warn(
    "models_dir",
    `${path} is not there`,
    "mount or make it, or set models_dir: models with relative paths cannot start",
  );
}
