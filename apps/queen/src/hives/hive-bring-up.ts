import { Deadline } from "@queen-and-hive/daemon";
import { commonProtocol, type HiveStartAnswer, PROTOCOL, QhError, type QueenAddress } from "@queen-and-hive/protocol";
import { preflight, requireFit } from "../preflight/preflight.ts";
import type { InstalledFiles } from "../store/store.ts";
import { HiveInstallation, type Trial } from "./hive-installation.ts";
import type { HiveKeeperOptions } from "./hive-keeper-options.ts";

/** Everything from nothing to a daemon that listens: the look at its host, the installation, `hive start`. */
export class HiveBringUp {
  readonly #options: HiveKeeperOptions;
  readonly #installation: HiveInstallation;
  #progress: string | null = null;
  #starting: Promise<unknown> = Promise.resolve();

  constructor(options: HiveKeeperOptions, known: InstalledFiles | null) {
    const { settings: hive, host, install, preflight: limits, log } = options;
    this.#options = options;
    const { limits: installLimits, withWorker } = install;
    this.#installation = new HiveInstallation({
      hive,
      host,
      limits: installLimits,
      commandMs: limits.deadlineMs,
      withWorker,
      known,
      log,
    });
  }

  /** What is being done, for people; null when nothing is. */
  get progress(): string | null {
    return this.#progress;
  }

  /** What of ours is known to be in use on its host. */
  get installed(): InstalledFiles | null {
    return this.#installation.inPlace;
  }

  /** Settles when no `hive start` is under way: cut off half-way it could leave a daemon behind. */
  get starting(): Promise<unknown> {
    return this.#starting;
  }

  /** Whether a start would bring nothing to a host on which the daemon runs. */
  bringsNothing(): Promise<boolean> {
    return this.#installation.bringsNothing();
  }

  /**
   * Starts the daemon, or finds the one that runs. The host of a first start is looked at before. A version that was just
   * installed and whose hand-shake fails gives way to the one from before. Throws what each of the steps throws.
   */
  async start(isFirst: boolean, signal: AbortSignal): Promise<HiveStartAnswer> {
    try {
      if (isFirst) await this.#lookAtHost(signal);
      return await this.#installAndStart(signal);
    } catch (error) {
      // A machine that was set up anew has lost what was found there before.
      const isGone = error instanceof QhError && error.kind === "hive_not_installed" && this.#installation.forget();
      if (!isGone || signal.aborted) throw error;
      return await this.#installAndStart(signal);
    } finally {
      this.#progress = null;
    }
  }

  async #installAndStart(signal: AbortSignal): Promise<HiveStartAnswer> {
    const prepared = await this.#installation.prepare(signal, (text) => {
      this.#progress = text;
    });
    this.#progress = null;
    if (prepared.kind === "on_trial") return await this.#tryVersion(prepared.trial, signal);
    if (prepared.kind === "went_back") await this.#endNewDaemon(signal);
    return await this.#callStart(await this.#wayBack(signal), signal);
  }

  async #lookAtHost(signal: AbortSignal): Promise<void> {
    const { host, settings: hive, preflight: limits, queen, clock, log } = this.#options;
    this.#progress = "looking at its host";
    const queenId = queen().queen_id;
    const findings = await preflight({ host, hive, limits, queenId, askHive: false, clock, signal });
    for (const { check, found, advice } of findings.filter(({ level }) => level === "warn"))
      log.warn(`${check}: ${found}; ${advice ?? ""}`, { hive_id: hive.id, host: host.name });
    requireFit(hive.id, host.name, findings);
  }

  async #tryVersion(trial: Trial, signal: AbortSignal): Promise<HiveStartAnswer> {
    // Outside of the trial: a version is not to blame for what the way back fails with.
    const way = await this.#wayBack(signal);
    let answer: HiveStartAnswer;
    try {
      answer = await this.#callStart(way, signal);
      requireProtocol(answer);
    } catch (error) {
      if (signal.aborted || !(await trial.goBack(error))) throw error;
      await this.#endNewDaemon(signal);
      return await this.#callStart(await this.#wayBack(signal), signal);
    }
    await trial.prove();
    return answer;
  }

  /** Where the hive calls back, and by when it has to be started: opening that way is part of the start. */
  async #wayBack(signal: AbortSignal): Promise<WayBack> {
    const { transport, health, clock } = this.#options;
    const deadline = Deadline.in(health.startMs, clock);
    return { deadline, queen: await transport.queenAddress(deadline, signal) };
  }

  async #callStart({ deadline, queen }: WayBack, signal: AbortSignal): Promise<HiveStartAnswer> {
    const { commands, settings, token } = this.#options;
    signal.throwIfAborted();
    const start = commands.start({ config: settings.config, secrets: { token }, queen }, deadline, signal);
    this.#starting = start.catch(() => undefined);
    return await start;
  }

  /** What the new version may have started; its workers go on. */
  async #endNewDaemon(signal: AbortSignal): Promise<void> {
    const { commands, queen, health, clock, log, settings } = this.#options;
    const stop = { keepWorkers: true, queenId: queen().queen_id };
    await commands.stop(stop, Deadline.in(health.startMs, clock), signal).catch((error: unknown) => {
      log.warn("cannot ask the earlier version whether a daemon of the new one is left", { error, hive_id: settings.id });
    });
  }
}

interface WayBack {
  readonly deadline: Deadline;
  readonly queen: QueenAddress;
}

function requireProtocol({ hive_id: hiveId, version, protocol }: HiveStartAnswer): void {
  if (commonProtocol(PROTOCOL, protocol) !== null) return;
  throw new QhError(
    "protocol_mismatch",
    `cannot work with ${hiveId} of version ${version}: it speaks protocol ${protocol.min} to ${protocol.max}, this queen ${PROTOCOL.min} to ${PROTOCOL.max}`,
  );
}
