import { Deadline } from "@queen-and-hive/daemon";
import { QhError } from "@queen-and-hive/protocol";
import type { HiveRow } from "../store/store.ts";
import type { HiveKeeperOptions } from "./hive-keeper-options.ts";
import { type HiveStopOutcome, leftAfter } from "./host-stop.ts";
import { recordedHive } from "./recorded-hive.ts";

/**
 * Where a hive was before the configuration meant another place. Two daemons of one name would both speak for it, so it is
 * stopped there, proven, before anything is started here.
 */
export class FormerPlace {
  readonly #options: HiveKeeperOptions;
  readonly #onLeft: (isSameDaemon: boolean) => void;
  #row: HiveRow | null;
  #isTold = false;

  constructor(options: HiveKeeperOptions, row: HiveRow | null, onLeft: (isSameDaemon: boolean) => void) {
    this.#options = options;
    this.#row = row;
    this.#onLeft = onLeft;
  }

  /** The hive as it was there; null when nothing of it is left. */
  get row(): HiveRow | null {
    return this.#row;
  }

  /** Stops it there; null when nothing of it is left. Never throws. */
  async stop(workers: "stop" | "keep", deadline: Deadline): Promise<HiveStopOutcome | null> {
    const row = this.#row;
    if (row === null) return null;
    const { queen, clock } = this.#options;
    await using hive = recordedHive(row, { queenId: queen().queen_id, workers: () => [], clock });
    const outcome = await hive.stop(workers, deadline);
    if (workers === "stop" && leftAfter(outcome).length === 0) this.#left(false);
    return outcome;
  }

  /** Sees to it that nothing is left there, unless the daemon there is the one here; why that cannot be said, or null. */
  async leave(signal: AbortSignal): Promise<string | null> {
    const row = this.#row;
    if (row === null) return null;
    const { stopHiveMs, clock, log, settings } = this.#options;
    const where = `${row.reach?.name ?? "this machine"}, ${row.stateDir ?? "its default state directory"}`;
    if (!this.#isTold) {
      log.warn("a hive has another place in the configuration: it is stopped where it was", { hive_id: row.hiveId, was: where });
    }
    this.#isTold = true;
    try {
      if (await this.#isHere(row, signal)) {
        this.#left(true);
        return null;
      }
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
    const outcome = await this.stop("stop", Deadline.in(stopHiveMs, clock));
    const left = outcome === null ? [] : leftAfter(outcome);
    if (left.length === 0) return null;
    return `cannot start it here before it is stopped where it was (${where}): ${left.join("; ")}; if that host is gone for good: "queen hive rm ${settings.id} --force", then "queen hive add"`;
  }

  /** Another name of the same machine is no other place. */
  async #isHere({ identity }: HiveRow, signal: AbortSignal): Promise<boolean> {
    const { commands, health, clock } = this.#options;
    try {
      const found = (await commands.status(Deadline.in(health.timeoutMs, clock), signal)).identity;
      if (identity === null || found === null) return false;
      return found.boot_id === identity.boot_id && found.pid === identity.pid && found.start_time === identity.start_time;
    } catch (error) {
      if (error instanceof QhError && error.kind === "hive_not_installed") return false;
      throw error;
    }
  }

  #left(isSameDaemon: boolean): void {
    // Two stops of it may end one after the other: meanwhile it may have become known where it is now.
    if (this.#row === null) return;
    this.#row = null;
    this.#onLeft(isSameDaemon);
  }
}
