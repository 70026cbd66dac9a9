import { Deadline } from "@queen-and-hive/daemon";
import { QhError } from "@queen-and-hive/protocol";
import type { HiveSettings, InstallSettings } from "../config/settings.ts";
import { ARCHITECTURES } from "../hosts/architectures.ts";
import type { Host } from "../hosts/host.ts";
import { hiveStateDir, hostPath } from "../hosts/host-path.ts";
import { findInstallables, type Installables } from "./executables.ts";
import {
  adoptArgv,
  backArgv,
  discardArgv,
  executablePath,
  lookArgv,
  proveArgv,
  unpackArgv,
  workerArchivePath,
} from "./install-argv.ts";
import { type InstallPlan, type InstallStep, type OnTrial, planInstall } from "./install-plan.ts";
import { parseInstallation, parseStep } from "./installation-report.ts";

/** What an installation needs to know. */
export interface InstallOptions {
  readonly host: Host;
  readonly hive: Pick<HiveSettings, "id" | "stateDir"> & { readonly installDir: string };
  readonly limits: InstallSettings;
  /** How long a single command on the host may take, milliseconds. */
  readonly commandMs: number;
  readonly withWorker: boolean;
  /** Versions that did not work on this host. */
  readonly refused: ReadonlySet<string>;
  readonly signal?: AbortSignal;
  /** Hears what is being done: which file, and how many of its bytes are on their way. */
  readonly onProgress: (what: "hive" | "worker", sentBytes: number, totalBytes: number) => void;
}

/** A plan for one host, with what it was made from. */
export interface HostPlan {
  /** Absolute, on the host. */
  readonly installDir: string;
  readonly plan: InstallPlan;
  readonly ours: Installables;
}

/** Looks at a host and says what there is to do. Throws `install_failed`, `hive_not_installed` and what `exec` throws. */
export async function planFor(options: InstallOptions): Promise<HostPlan> {
  const { host, hive, limits, withWorker, refused, signal } = options;
  const deadline = Deadline.in(options.commandMs);
  const facts = await host.facts(deadline, signal);
  const installDir = hostPath(hive.installDir, facts);
  const stateDir = hiveStateDir(hive, facts);
  const report = parseInstallation(await host.exec(lookArgv(installDir, stateDir), { deadline, signal }), host.name);
  const ours = await findInstallables(limits.from, ARCHITECTURES[report.arch] ?? report.arch);
  return { installDir, ours, plan: planInstall(report, ours, { hostName: host.name, installDir, withWorker, refused }) };
}

/**
 * Carries a plan out and says which version is on trial afterwards, null when none is. Throws `upload_failed`,
 * `install_failed` and what `exec` throws; then nothing is half-installed.
 */
export async function carryOut({ installDir, plan }: HostPlan, options: InstallOptions): Promise<OnTrial | null> {
  let { trial } = plan;
  for (const step of plan.steps) trial = (await take(step, installDir, options)) ?? trial;
  return trial;
}

/** Notes on the host that a version is not on trial any more. Throws `install_failed` and what `exec` throws. */
export async function prove(installDir: string, version: string, { host, commandMs, signal }: InstallOptions): Promise<void> {
  parseStep(await host.exec(proveArgv(installDir, version), { deadline: Deadline.in(commandMs), signal }), host.name);
}

/** Makes the version from before an installation the current one again. Throws `install_failed` and what `exec` throws. */
export async function goBack(installDir: string, previous: string, { host, commandMs, signal }: InstallOptions): Promise<void> {
  parseStep(await host.exec(backArgv(installDir, previous), { deadline: Deadline.in(commandMs), signal }), host.name);
}

async function take(step: InstallStep, installDir: string, options: InstallOptions): Promise<OnTrial | null> {
  const { host, limits, commandMs, signal } = options;
  switch (step.kind) {
    case "upload_hive": {
      const { sha256, bytes } = step.source;
      await upload("hive", step, executablePath(installDir, sha256), options).catch(async (error: unknown) => {
        await host.exec(discardArgv(installDir, sha256), { deadline: Deadline.in(DISCARD_MS) }).catch(() => undefined);
        throw error;
      });
      options.onProgress("hive", bytes, bytes);
      return null;
    }
    case "upload_worker": {
      await upload("worker", step, workerArchivePath(installDir, step.version, step.source.sha256), options);
      const argv = unpackArgv(installDir, step.version, step.source.sha256);
      parseStep(await host.exec(argv, { deadline: Deadline.in(limits.uploadMs), signal }), host.name);
      return null;
    }
    case "adopt": {
      const argv = adoptArgv(installDir, step.version, limits.keep);
      const values = parseStep(await host.exec(argv, { deadline: Deadline.in(commandMs), signal }), host.name);
      return { version: step.version, previous: values.text("previous") };
    }
    case "back":
      await goBack(installDir, step.target, options);
      return null;
  }
}

async function upload(
  what: "hive" | "worker",
  { source }: Extract<InstallStep, { source: unknown }>,
  target: string,
  { host, limits, signal, onProgress }: InstallOptions,
): Promise<void> {
  await host.upload({ file: source.file, sha256: source.sha256 }, target, {
    mode: what === "hive" ? EXECUTABLE : PLAIN,
    deadline: Deadline.in(limits.uploadMs),
    signal,
    onProgress: (sentBytes, totalBytes) => onProgress(what, sentBytes, totalBytes),
  });
  if (signal?.aborted === true)
    throw new QhError("shutting_down", `cannot finish the installation on ${host.name}: it was given up`);
}

/** How long tidying up after an upload that failed may delay the failure, milliseconds: its link may be cut. */
const DISCARD_MS = 6_000;
const EXECUTABLE = 0o755;
const PLAIN = 0o600;
