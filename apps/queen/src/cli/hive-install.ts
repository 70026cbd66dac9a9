import { COMMAND_EXIT, QhError } from "@queen-and-hive/protocol";
import { type ConfigSurroundings, loadSettings } from "../config/load.ts";
import type { HiveSettings, QueenSettings } from "../config/settings.ts";
import { needsWorker } from "../hives/hive-installation.ts";
import { createHost } from "../hosts/create-host.ts";
import { carryOut, type InstallOptions, planFor } from "../install/install-hive.ts";
import { describeStep } from "../install/install-plan.ts";
import { chooseHives } from "./choose-hives.ts";
import type { CommonOptions } from "./program.ts";
import { ProgressLines, progressBar } from "./progress-lines.ts";
import { wrap } from "./table.ts";
import { terminalColumns } from "./watch.ts";

/** The flags of `queen hive install`. */
export interface HiveInstallFlags extends Pick<CommonOptions, "config" | "json"> {
  /** Says what would be done, and does nothing. */
  readonly dryRun?: boolean;
  /** Brings the embedded worker too, whatever models may be placed there. */
  readonly withWorker?: boolean;
}

/** What was done, or would be, on the host of one hive. */
interface Outcome {
  readonly hive_id: string;
  readonly host: string;
  readonly found: string;
  readonly steps: readonly string[];
  readonly error?: string;
}

/**
 * `queen hive install [HIVE...]`: brings this checkout's hive to the hosts, all at once, with or without a running queen. A
 * daemon that runs keeps its version until its next start. 1 when it failed on one of them.
 */
export async function hiveInstall(ids: readonly string[], flags: HiveInstallFlags, around: ConfigSurroundings): Promise<number> {
  const settings = loadSettings(flags.config, around, Date.now());
  const progress = flags.json === true || flags.dryRun === true ? null : new ProgressLines();
  const outcomes = await Promise.all(chooseHives(settings, ids).map((hive) => installOne(hive, settings, flags, progress)));
  progress?.end();
  if (flags.json === true) process.stdout.write(`${JSON.stringify({ hives: outcomes })}\n`);
  else if (flags.dryRun === true) process.stdout.write(`${outcomes.map(planText).join("\n")}\n`);
  return outcomes.some(({ error }) => error !== undefined) ? COMMAND_EXIT.failed : COMMAND_EXIT.done;
}

async function installOne(
  hive: HiveSettings,
  settings: QueenSettings,
  flags: HiveInstallFlags,
  progress: ProgressLines | null,
): Promise<Outcome> {
  await using host = createHost(hive.reach);
  const named = { hive_id: hive.id, host: host.name };
  if (hive.installDir === null) {
    progress?.set(hive.id, "runs from this checkout: nothing to install");
    return { ...named, found: "it runs from this checkout", steps: [] };
  }
  const options: InstallOptions = {
    host,
    hive: { id: hive.id, stateDir: hive.stateDir, installDir: hive.installDir },
    limits: settings.install,
    commandMs: settings.preflight.deadlineMs,
    withWorker: flags.withWorker === true || needsWorker(settings.models, hive),
    refused: new Set(),
    onProgress: (what, sent, total) => progress?.set(hive.id, `uploading the ${what} ${progressBar(sent, total)}`),
  };
  try {
    progress?.set(hive.id, "looking");
    const planned = await planFor(options);
    const { found, steps } = planned.plan;
    if (flags.dryRun !== true) await carryOut(planned, options);
    progress?.set(hive.id, steps.length === 0 ? found : "installed");
    return { ...named, found, steps: steps.map((step) => describeStep(step, planned.installDir)) };
  } catch (error) {
    if (!(error instanceof QhError)) throw error;
    progress?.set(hive.id, error.message);
    return { ...named, found: "", steps: [], error: error.message };
  }
}

const STEP_INDENT = 5;

function planText({ hive_id: hiveId, host, found, steps, error }: Outcome): string {
  const width = terminalColumns() - STEP_INDENT;
  const lines = steps.flatMap((step, index) =>
    wrap(step, width).map((line, at) => `${at === 0 ? `  ${index + 1}. ` : " ".repeat(STEP_INDENT)}${line}`),
  );
  const rest = steps.length === 0 && error === undefined ? ["  nothing to do"] : lines;
  return [`${hiveId} (${host}): ${error ?? found}`, ...rest].join("\n");
}
