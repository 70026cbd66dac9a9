import type { Log } from "@queen-and-hive/daemon";
import { type ErrorKind, formatBytes, QhError } from "@queen-and-hive/protocol";
import type { HiveSettings, InstallSettings, ModelSettings } from "../config/settings.ts";
import { mayRunOn } from "../domain/placement.ts";
import type { Host } from "../hosts/host.ts";
import { isUpToDate } from "../install/executables.ts";
import { carryOut, goBack, type HostPlan, type InstallOptions, planFor } from "../install/install-hive.ts";
import { short } from "../install/install-plan.ts";
import type { InstalledFiles } from "../store/store.ts";

/** What an installation before a start needs to know. */
export interface HiveInstallationOptions {
  readonly hive: HiveSettings;
  readonly host: Host;
  readonly limits: InstallSettings;
  /** How long a single command on the host may take, milliseconds. */
  readonly commandMs: number;
  readonly withWorker: boolean;
  /** What an earlier start has found in place. */
  readonly known: InstalledFiles | null;
  readonly log: Log;
}

/** A version that was made the current one and has not proven itself yet. */
export interface Trial {
  /** Makes the version from before the current one again; false when there was none. */
  goBack(error: unknown): Promise<boolean>;
}

/** Whether a model that runs in our own worker may be placed on a hive. */
export function needsWorker(models: readonly ModelSettings[], hive: Pick<HiveSettings, "id" | "labels">): boolean {
  return models.some(
    ({ spec, place }) => spec.runtime.name === "embedded" && mayRunOn(place, { hiveId: hive.id, labels: hive.labels }),
  );
}

/** Brings this queen's hive to a host before a start; a hive that runs from the checkout needs none of it. */
export class HiveInstallation {
  readonly #options: HiveInstallationOptions;
  /** Versions whose hand-shake failed here; they are not tried again by this queen. */
  readonly #refused = new Set<string>();
  #inPlace: InstalledFiles | null;

  constructor(options: HiveInstallationOptions) {
    this.#options = options;
    this.#inPlace = options.known;
  }

  /** What of ours is known to be in use there. */
  get inPlace(): InstalledFiles | null {
    return this.#inPlace;
  }

  /** There is no program there any more: the next start looks again. False when that was not known to be otherwise. */
  forget(): boolean {
    const wasKnown = this.#inPlace !== null;
    this.#inPlace = null;
    return wasKnown;
  }

  /**
   * Installs what is not in place; what an earlier start has found in place is not looked for again. Null when nothing was
   * switched. Throws `install_failed`, `upload_failed`, `hive_not_installed`.
   */
  async prepare(signal: AbortSignal, onProgress: (text: string) => void): Promise<Trial | null> {
    const { hive, host, limits, withWorker, log } = this.#options;
    if (hive.installDir === null) return null;
    if (this.#inPlace !== null && (await isUpToDate(limits.from, this.#inPlace, withWorker))) return null;
    const options = this.#installOptions(hive.installDir, signal, onProgress);
    const planned = await planFor(options);
    if (options.withWorker && planned.ours.worker === null && planned.ours.hive !== null) {
      log.warn(
        `there is no ${planned.ours.workerFile} to install: embedded models cannot run there; build it with "npm run build:hive"`,
        {
          hive_id: hive.id,
        },
      );
    }
    if (planned.plan.steps.length === 0) {
      this.#inPlace = planned.plan.installed;
      return null;
    }
    log.info(`installing the hive on ${host.name}: ${planned.plan.found}`, { hive_id: hive.id });
    const { version, previous } = await carryOut(planned, options);
    this.#inPlace = planned.plan.installed;
    if (version === null) return null;
    log.info("the hive was installed", { hive_id: hive.id, sha256: version });
    return { goBack: (error) => this.#goBack(planned, options, { version, previous, error }) };
  }

  #installOptions(installDir: string, signal: AbortSignal, onProgress: (text: string) => void): InstallOptions {
    const { hive, host, limits, commandMs, withWorker } = this.#options;
    return {
      host,
      hive: { id: hive.id, stateDir: hive.stateDir, installDir },
      limits,
      commandMs,
      withWorker,
      refused: this.#refused,
      signal,
      onProgress: (what, sent, total) => onProgress(uploadText(what, sent, total)),
    };
  }

  async #goBack(
    { installDir }: HostPlan,
    options: InstallOptions,
    { version, previous, error }: { readonly version: string; readonly previous: string | null; readonly error: unknown },
  ): Promise<boolean> {
    if (!isVersionFault(error)) return false;
    this.#refused.add(version);
    this.#inPlace = null;
    if (previous === null) return false;
    const { hive, host, log } = this.#options;
    log.error(`version ${short(version)} of the hive does not work on ${host.name}: going back to ${previous}`, {
      error,
      hive_id: hive.id,
    });
    await goBack(installDir, previous, options);
    return true;
  }
}

/** How far an upload is, for people. */
function uploadText(what: "hive" | "worker", sentBytes: number, totalBytes: number): string {
  const percent = totalBytes === 0 ? 100 : Math.floor((sentBytes / totalBytes) * 100);
  return `uploading the ${what}, ${percent} % of ${formatBytes(totalBytes)}`;
}

/** Failures of a hand-shake that a version can be to blame for; others would hit any version. */
const VERSION_FAULTS: ReadonlySet<ErrorKind> = new Set([
  "start_timeout",
  "spawn_failed",
  "host_unreachable",
  "hive_not_installed",
  "protocol_mismatch",
  "peer_nonsense",
  "deadline_exceeded",
  "internal",
]);

function isVersionFault(error: unknown): boolean {
  return error instanceof QhError && VERSION_FAULTS.has(error.kind);
}
