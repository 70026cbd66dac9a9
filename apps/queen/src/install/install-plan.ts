import { formatBytes, QhError } from "@queen-and-hive/protocol";
import type { InstalledFiles } from "../store/store.ts";
import type { Installable, Installables } from "./executables.ts";
import type { InstallationReport } from "./installation-report.ts";

/** One thing that an installation does, in order. */
export type InstallStep =
  | { readonly kind: "upload_hive"; readonly source: Installable }
  | { readonly kind: "upload_worker"; readonly source: Installable; readonly version: string }
  | { readonly kind: "adopt"; readonly version: string }
  | { readonly kind: "back"; readonly target: string };

/** A version that was made the current one and whose hand-shake is still to come. */
export interface OnTrial {
  readonly version: string;
  /** What `current` pointed to before; null when there was nothing that runs. */
  readonly previous: string | null;
}

/** What is to be done, with a sentence for people about what is there. */
export interface InstallPlan {
  readonly found: string;
  readonly steps: readonly InstallStep[];
  /** What of ours is in use once the steps are taken; null when something else is. */
  readonly installed: InstalledFiles | null;
  /** Somebody was interrupted between installing the current version and its hand-shake; null when it has proven itself. */
  readonly trial: OnTrial | null;
}

/** What a plan is made for. */
export interface PlanQuestion {
  readonly hostName: string;
  readonly installDir: string;
  readonly withWorker: boolean;
  /** Versions that did not work on this host. */
  readonly refused: ReadonlySet<string>;
}

/**
 * What has to be done so that the hive of this queen is the current one on a host. A running daemon is left with the version
 * it runs from: the new one is installed before its next start. Throws `hive_not_installed` when there is nothing to run and
 * nothing to install, `install_failed` when the place is not ours or cannot take it.
 */
export function planInstall(report: InstallationReport, ours: Installables, question: PlanQuestion): InstallPlan {
  if (report.foreign !== null) return planForeign(report.foreign, question);
  const { hive } = ours;
  const currentVersion = report.current === null ? null : versionOf(report.current);
  if (hive === null || question.refused.has(hive.sha256)) return planWithout(report, ours, question, currentVersion);
  const worker = workerStep(report, ours, question, hive.sha256);
  const unpacked = worker.length === 0 ? (report.workers.get(hive.sha256) ?? null) : (ours.worker?.sha256 ?? null);
  const installed = { hive: hive.sha256, worker: unpacked };
  if (currentVersion === hive.sha256 && report.currentRuns)
    return {
      found: `version ${short(hive.sha256)} is in place`,
      steps: worker,
      installed,
      trial: trialOf(report, currentVersion),
    };
  if (report.runningPid !== null && report.currentRuns) {
    return {
      found: `${currentVersion === null ? "another version" : short(currentVersion)} runs as process ${report.runningPid}; ${short(hive.sha256)} comes before its next start`,
      steps: [],
      installed: null,
      trial: null,
    };
  }
  const upload: readonly InstallStep[] = report.versions.includes(hive.sha256) ? [] : [{ kind: "upload_hive", source: hive }];
  const steps: readonly InstallStep[] = [...upload, ...worker, { kind: "adopt", version: hive.sha256 }];
  requireRoom(report, steps, question);
  return { found: foundText(report, currentVersion), steps, installed, trial: null };
}

/** A step as one line for people. */
export function describeStep(step: InstallStep, installDir: string): string {
  switch (step.kind) {
    case "upload_hive":
      return `upload ${step.source.file} (${formatBytes(step.source.bytes)}, compressed on its way) as ${installDir}/versions/${short(step.source.sha256)}.../hive`;
    case "upload_worker":
      return `upload ${step.source.file} (${formatBytes(step.source.bytes)}) and unpack it in ${installDir}/versions/${short(step.version)}.../hive-worker`;
    case "adopt":
      return `try version ${short(step.version)}, make it ${installDir}/current, keep the newest versions`;
    case "back":
      return `make ${step.target} ${installDir}/current again`;
  }
}

/** The first letters of a version, enough for people. */
export function short(sha256: string): string {
  return sha256.slice(0, 12);
}

function planForeign(says: string, { hostName, installDir }: PlanQuestion): InstallPlan {
  if (/^hive [0-9]/.test(says))
    return { found: `${installDir}/current is looked after by somebody else: ${says}`, steps: [], installed: null, trial: null };
  throw new QhError(
    "install_failed",
    `cannot install the hive on ${hostName}: ${installDir}/current is there, is not ours and no hive (it says ${JSON.stringify(says)}); move it away, or set install_dir`,
  );
}

/** There is nothing new to install: what is there has to do. */
function planWithout(
  report: InstallationReport,
  ours: Installables,
  { hostName, installDir, refused }: PlanQuestion,
  current: string | null,
): InstallPlan {
  if (report.currentRuns && current !== null && refused.has(current)) {
    const found = `version ${short(current)} does not work there`;
    const target = report.trial?.previous ?? null;
    if (target !== null) return { found, steps: [{ kind: "back", target }], installed: null, trial: null };
    throw new QhError(
      "install_failed",
      `cannot start a hive on ${hostName}: ${found}, and there is none to go back to in ${installDir}; install another, or start the queen anew to try it again`,
    );
  }
  if (report.currentRuns) {
    const found = `version ${current === null ? "of somebody" : short(current)} is in place`;
    return { found, steps: [], installed: null, trial: trialOf(report, current) };
  }
  throw new QhError(
    "hive_not_installed",
    `cannot start a hive on ${hostName}: there is none in ${installDir}, and no ${ours.hiveFile} to install; build it with "npm run build:hive" on a machine of that architecture (${report.arch})`,
  );
}

function trialOf({ trial }: InstallationReport, version: string | null): OnTrial | null {
  return trial === null || version === null ? null : { version, previous: trial.previous };
}

function workerStep(
  report: InstallationReport,
  { worker }: Installables,
  { withWorker }: PlanQuestion,
  version: string,
): readonly InstallStep[] {
  if (!withWorker || worker === null || report.workers.get(version) === worker.sha256) return [];
  return [{ kind: "upload_worker", source: worker, version }];
}

/** How much larger the worker's bundle is once it is unpacked, at most. */
const UNPACKED_FACTOR = 5;

function requireRoom(report: InstallationReport, steps: readonly InstallStep[], { hostName, installDir }: PlanQuestion): void {
  const refuse = (why: string): never => {
    throw new QhError("install_failed", `cannot install the hive on ${hostName}: ${why}`);
  };
  if (report.blocked !== null) refuse(`${report.blocked} is no directory; move it away, or set install_dir`);
  if (!report.writable) refuse(`${installDir} cannot be written to; give our user there the right to, or set install_dir`);
  const needed = steps.reduce((sum, step) => sum + bytesOf(step), 0);
  if (report.freeBytes !== null && report.freeBytes < needed)
    refuse(`${formatBytes(needed)} are needed at ${installDir}, ${formatBytes(report.freeBytes)} are free`);
}

function bytesOf(step: InstallStep): number {
  switch (step.kind) {
    case "upload_hive":
      return step.source.bytes;
    case "upload_worker":
      return step.source.bytes * UNPACKED_FACTOR;
    case "adopt":
    case "back":
      return 0;
  }
}

function versionOf(target: string): string | null {
  return /^versions\/([0-9a-f]{64})$/.exec(target)?.[1] ?? null;
}

function foundText({ current, currentRuns }: InstallationReport, version: string | null): string {
  if (current === null) return "nothing is installed";
  if (!currentRuns) return "what was installed is gone";
  return `${version === null ? "another version" : `version ${short(version)}`} is in place`;
}
