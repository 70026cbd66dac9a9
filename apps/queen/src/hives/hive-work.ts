import { Deadline } from "@queen-and-hive/daemon";
import { type HiveIdentity, type HiveRecord, QhError } from "@queen-and-hive/protocol";
import type { HiveMachineEvent } from "../domain/hive-states.ts";
import type { HiveRow, InstalledFiles } from "../store/store.ts";
import { QUEEN_VERSION } from "../version.ts";
import { diagnose } from "./diagnosis.ts";
import type { FormerPlace } from "./former-place.ts";
import { HiveBringUp } from "./hive-bring-up.ts";
import { createHiveCalls, type HiveCalls } from "./hive-calls.ts";
import type { HiveKeeperOptions } from "./hive-keeper-options.ts";
import { HiveLink } from "./hive-link.ts";
import { lookForRun } from "./hive-look.ts";
import { stillInstalled } from "./hive-row.ts";
import { bothStops, type HiveStopOutcome, leftAfter, stopOnHost } from "./host-stop.ts";

/** What the effects of a hive's machine do to the world; what they find goes back as events. */
export class HiveWork implements AsyncDisposable {
  readonly #options: HiveKeeperOptions;
  readonly #bringUp: HiveBringUp;
  readonly #post: (event: HiveMachineEvent) => void;
  readonly #former: FormerPlace;
  #working = new AbortController();
  #link: HiveLink | null = null;
  #devices: HiveRecord["devices"];

  constructor(
    options: HiveKeeperOptions,
    known: HiveRow,
    parts: { readonly post: (event: HiveMachineEvent) => void; readonly former: FormerPlace },
  ) {
    this.#options = options;
    this.#bringUp = new HiveBringUp(options, stillInstalled(known, options.settings));
    this.#post = parts.post;
    this.#former = parts.former;
  }

  /** The hive at its former place, while something may be left there. */
  get former(): HiveRow | null {
    return this.#former.row;
  }

  /** How to call the hive; null while there is no link. */
  get calls(): HiveCalls | null {
    return this.#link?.calls ?? null;
  }

  /** What the host computes on; undefined before it was reached. */
  get devices(): HiveRecord["devices"] {
    return this.#devices;
  }

  /** What of ours is known to be in use on its host. */
  get installed(): InstalledFiles | null {
    return this.#bringUp.installed;
  }

  /** What is being done before the daemon is called; null when nothing is. */
  get progress(): string | null {
    return this.#bringUp.progress;
  }

  /** Looks whether the daemon that an earlier queen knew is there as she left it; nothing is started. */
  async look(recorded: HiveIdentity): Promise<void> {
    const { settings, clock, log } = this.#options;
    const { signal } = this.#working;
    const bringsNothing = (): Promise<boolean> => this.#bringUp.bringsNothing();
    const found = await lookForRun({ ...this.#options, recorded, bringsNothing, signal });
    if (signal.aborted) return;
    if (found.kind === "recognised") {
      this.#sayAdopted(found.run);
      this.#post({ type: "look_answered", run: found.run });
      return;
    }
    log.info(`the hive is not there as it was recorded: ${found.detail}`, { hive_id: settings.id, pid: recorded.pid });
    this.#post({ type: "look_failed", error: found.detail, why: found.kind, atMs: clock.monotonicMs() });
  }

  /** Runs `hive start`, which adopts the daemon that runs; the host of a first start is looked at before. */
  async callStart(isFirst: boolean): Promise<void> {
    const { settings, clock, log } = this.#options;
    const { signal } = this.#working;
    try {
      const isMoved = this.#former.row !== null;
      const stuck = await this.#former.leave(signal);
      // A stop that was ordered meanwhile has gone to both places: what started now would come after it.
      if (signal.aborted) return;
      if (stuck !== null) {
        this.#post({ type: "start_refused", error: stuck, why: "no_host", atMs: clock.monotonicMs() });
        return;
      }
      const answer = await this.#bringUp.start(isFirst || isMoved, signal);
      const { already_running: alreadyRunning, owner: _owner, ...run } = answer;
      if (alreadyRunning) this.#sayAdopted(run);
      else log.info("the hive was started", { hive_id: settings.id, pid: run.pid, url: run.url });
      this.#post({ type: "start_answered", run });
    } catch (error) {
      this.#post({ type: "start_refused", error: messageOf(error), why: this.#whyRefused(error), atMs: clock.monotonicMs() });
    }
  }

  /** On our own machine a command that says nothing sensible is a failure of the command. */
  #whyRefused(error: unknown): "final" | "failed" | "no_host" {
    if (!(error instanceof QhError)) return "failed";
    if (FINAL_REFUSALS.has(error.kind)) return "final";
    return error.kind === "host_unreachable" && !this.#options.host.isLocal ? "no_host" : "failed";
  }

  /** Opens the link to a run; an older link is left. */
  connect(run: HiveIdentity): void {
    const { clock, listener, token, transport, health, log, stopWorkerMs, metrics, settings } = this.#options;
    this.disconnect();
    const epoch = run.hive_epoch;
    const isCurrent = (): boolean => this.#link === link;
    const link: HiveLink = new HiveLink({
      run,
      token,
      transport,
      health,
      slowTimeoutMs: stopWorkerMs,
      clock,
      log,
      listener: {
        onConnected: (snapshot) => {
          if (!isCurrent()) return;
          this.#post({ type: "connected", run: snapshot.hive, atMs: clock.monotonicMs() });
          listener.onEvent(snapshot);
          this.#learnDevices(link.calls).catch((error: unknown) =>
            log.warn("cannot learn what a hive's host computes on", { error, hive_id: settings.id }),
          );
        },
        onEvent: (event) => {
          if (isCurrent()) listener.onEvent(event);
        },
        onLost: (reason, detail) => {
          if (isCurrent()) this.#post({ type: "link_lost", epoch, reason, detail, atMs: clock.monotonicMs() });
        },
        onRefused: (error) => {
          if (isCurrent()) this.#post({ type: "refused", epoch, error: error.message });
        },
        onHealthCheck: (outcome) => metrics.healthChecks.inc({ hive: settings.id, outcome }),
      },
    });
    this.#link = link;
  }

  /** Leaves the link, if there is one. */
  disconnect(): void {
    const link = this.#link;
    this.#link = null;
    if (link === null) return;
    link.close().catch((error: unknown) => this.#options.log.error("cannot leave a link to a hive", { error }));
  }

  /** Finds out what became of a run. */
  async diagnose(run: HiveIdentity): Promise<void> {
    const { host, commands, transport, health, clock, token } = this.#options;
    const { signal } = this.#working;
    const connect = transport.connectDaemon;
    const { finding, detail } = await diagnose({ run, host, commands, connect, health, token, clock, signal });
    if (signal.aborted) return;
    this.#post({ type: "diagnosed", epoch: run.hive_epoch, finding, detail, atMs: clock.monotonicMs() });
  }

  /** Ends a mute daemon with proof; its workers go on. */
  async endDaemon(run: HiveIdentity): Promise<void> {
    const { host, commands, queen, clock, health } = this.#options;
    const epoch = run.hive_epoch;
    try {
      const stop = { keepWorkers: true, queenId: queen().queen_id };
      const answer = await commands.stop(stop, Deadline.in(health.startMs, clock), this.#working.signal);
      if (answer.left.length === 0 && host.isAlive(run) !== true) {
        this.#post({ type: "daemon_ended", epoch, atMs: clock.monotonicMs() });
        return;
      }
      this.#post({ type: "daemon_left", epoch, error: answer.left.join("; "), atMs: clock.monotonicMs() });
    } catch (error) {
      this.#post({ type: "daemon_left", epoch, error: messageOf(error), atMs: clock.monotonicMs() });
    }
  }

  /**
   * Runs `hive stop` and checks by identity that the daemon is gone; calls that are under way are given up, but for a
   * `hive start`: cut off half-way it could leave a daemon behind that says who it is only after we have looked.
   */
  async stop(workers: "stop" | "keep", known: HiveIdentity | null, deadline: Deadline): Promise<HiveStopOutcome> {
    const { host, commands, queen, stopWorkerMs } = this.#options;
    await this.#startSettled(deadline.earlier(stopWorkerMs));
    this.#working.abort(new QhError("shutting_down", "cannot go on: the hive is being stopped"));
    // An operator may start it again.
    this.#working = new AbortController();
    const queenId = queen().queen_id;
    const former = await this.#former.stop(workers, deadline);
    const outcome =
      former !== null && leftAfter(former).length > 0
        ? former
        : bothStops(former, await stopOnHost({ host, commands, queenId, known }, workers, deadline));
    const isOthers = outcome.kind === "not_ours";
    this.#post({ type: "stop_ended", left: leftAfter(outcome), ...(isOthers ? { isOthers } : {}) });
    return outcome;
  }

  /** Tells a daemon that is being stopped to be quick. */
  async hurry(run: HiveIdentity, deadlineMs: number): Promise<void> {
    const { token, health, settings, transport, stopWorkerMs } = this.#options;
    const timeoutMs = health.timeoutMs;
    await using calls = createHiveCalls({
      hiveId: settings.id,
      url: run.url,
      token,
      timeoutMs,
      slowTimeoutMs: stopWorkerMs,
      connect: transport.connectDaemon,
    });
    await calls.hurry(deadlineMs);
  }

  /** Gives up what is under way and leaves the link. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#working.abort(new QhError("shutting_down", "cannot go on: the queen stops"));
    const link = this.#link;
    this.#link = null;
    await link?.close();
  }

  #sayAdopted({ pid, url, version }: HiveIdentity): void {
    const { settings, log } = this.#options;
    log.info("adopting the hive that runs", { hive_id: settings.id, pid, url });
    if (version === QUEEN_VERSION) return;
    const advice = "restart it to bring it up to date";
    log.warn(`the hive runs version ${version}, this queen is version ${QUEEN_VERSION}: ${advice}`, { hive_id: settings.id });
  }

  async #startSettled(deadline: Deadline): Promise<void> {
    using late = deadline.signal();
    const tooLate = new Promise<void>((resolve) => {
      if (late.aborted) resolve();
      else late.addEventListener("abort", () => resolve(), { once: true });
    });
    await Promise.race([this.#bringUp.starting, tooLate]);
  }

  async #learnDevices(calls: HiveCalls): Promise<void> {
    const { devices } = await calls.capabilities(this.#working.signal);
    this.#devices = devices.map(({ id, kind, name }) => ({ id, kind, name }));
  }
}

/** Failures of a start that time alone does not heal. */
const FINAL_REFUSALS: ReadonlySet<QhError["kind"]> = new Set([
  "owned_by_another_queen",
  "already_running",
  "invalid_config",
  "protocol_mismatch",
  "stale_epoch",
]);

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
