import type { Log } from "@queen-and-hive/daemon";
import { type ErrorKind, formatBytes, QhError } from "@queen-and-hive/protocol";
import type { HiveSettings, InstallSettings, ModelSettings } from "../config/settings.ts";
import { mayRunOn } from "../domain/placement.ts";
import type { Host } from "../hosts/host.ts";
import { isUpToDate } from "../install/executables.ts";
import { carryOut, goBack, type HostPlan, type InstallOptions, planFor, prove } from "../install/install-hive.ts";
import { type OnTrial, short } from "../install/install-plan.ts";
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
  /** Its hand-shake went well: whoever comes next need not try it. */
  prove(): Promise<void>;
  /** Makes the version from before the current one again; false when there was none or the version is not to blame. */
  goBack(error: unknown): Promise<boolean>;
}

/** What a start finds on its host: what was there, a version to be tried, or the one from before it again. */
export type Prepared =
  | { readonly kind: "in_place" }
  | { readonly kind: "on_trial"; readonly trial: Trial }
  | { readonly kind: "went_back" };

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
   * Whether a start would bring nothing to a host on which the daemon runs, known without asking it: another executable waits
   * for the daemon's next start anyway, the embedded worker does not.
   */
  async bringsNothing(): Promise<boolean> {
    return !this.#options.withWorker || (await this.#isInPlace());
  }

  /**
   * Installs what is not in place; what an earlier start has found in place is not looked for again. A version stays on
   * trial, whoever is interrupted, until its hand-shake. Throws `install_failed`, `upload_failed`, `hive_not_installed`.
   */
  async prepare(signal: AbortSignal, onProgress: (text: string) => void): Promise<Prepared> {
    const { hive, host, log } = this.#options;
    if (hive.installDir === null || (await this.#isInPlace())) return IN_PLACE;
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
    const { steps, found, installed } = planned.plan;
    if (steps.length > 0) log.info(`installing the hive on ${host.name}: ${found}`, { hive_id: hive.id });
    const trial = await carryOut(planned, options);
    this.#inPlace = trial === null ? installed : null;
    if (trial === null) return steps.some(({ kind }) => kind === "back") ? { kind: "went_back" } : IN_PLACE;
    log.info("a version of the hive is to prove itself", { hive_id: hive.id, sha256: trial.version });
    return {
      kind: "on_trial",
      trial: {
        prove: () => this.#prove(planned, options, trial),
        goBack: (error) => this.#goBack(planned, options, trial, error),
      },
    };
  }

  async #isInPlace(): Promise<boolean> {
    const { hive, limits, withWorker } = this.#options;
    if (hive.installDir === null) return true;
    return this.#inPlace !== null && (await isUpToDate(limits.from, this.#inPlace, withWorker));
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

  async #prove({ installDir, plan }: HostPlan, options: InstallOptions, { version }: OnTrial): Promise<void> {
    const { hive, log } = this.#options;
    try {
      await prove(installDir, version, options);
      this.#inPlace = plan.installed;
    } catch (error) {
      log.warn("cannot note that a version of the hive works: it is tried again at the next start", { error, hive_id: hive.id });
    }
  }

  async #goBack(
    { installDir }: HostPlan,
    options: InstallOptions,
    { version, previous }: OnTrial,
    error: unknown,
  ): Promise<boolean> {
    // Where there is nothing to go back to, trying it again is all that can help.
    if (!isVersionFault(error) || previous === null) return false;
    this.#refused.add(version);
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

const IN_PLACE: Prepared = { kind: "in_place" };

/** What a version answers that it is to blame for; what the way to its host does, or does not, says nothing of it. */
const VERSION_FAULTS: ReadonlySet<ErrorKind> = new Set([
  "start_timeout",
  "spawn_failed",
  "hive_not_installed",
  "protocol_mismatch",
  "peer_nonsense",
  "internal",
]);

function isVersionFault(error: unknown): boolean {
  return error instanceof QhError && VERSION_FAULTS.has(error.kind);
}
