import type { Clock, Log } from "@queen-and-hive/daemon";
import type { HiveEvent, QueenAddress } from "@queen-and-hive/protocol";
import type { HealthSettings, HiveSettings, InstallSettings, PreflightSettings, RestartSettings } from "../config/settings.ts";
import type { HivePolicy } from "../domain/hive-states.ts";
import type { HiveCommands } from "../hosts/hive-commands.ts";
import type { Host } from "../hosts/host.ts";
import type { Store } from "../store/store.ts";
import type { HiveMetrics } from "./hive-metrics.ts";
import type { HiveTransport } from "./transport.ts";

/** What a keeper tells the rest of the queen. */
export interface HiveKeeperListener {
  /** A message of the event stream of the run that counts. */
  onEvent(event: HiveEvent): void;
  /** The state has changed and is on disk. */
  onState(): void;
  /** Nothing of it is left where it was before the configuration meant another place: its workers are gone. */
  onGone(): void;
  /** The hive's state was put back to an earlier one: what its workers' messages are numbered with begins anew. */
  onWentBack(): void;
  /** The hive has been out of reach for its grace. */
  onAbandoned(reason: string): void;
}

/** What a keeper needs to know. */
export interface HiveKeeperOptions {
  readonly settings: HiveSettings;
  readonly host: Host;
  readonly commands: HiveCommands;
  readonly transport: HiveTransport;
  readonly token: string;
  readonly store: Store;
  readonly queen: () => QueenAddress;
  readonly health: HealthSettings;
  readonly restart: RestartSettings;
  readonly preflight: PreflightSettings;
  /** How its program comes to its host, and whether the embedded worker comes with it. */
  readonly install: { readonly limits: InstallSettings; readonly withWorker: boolean };
  /** How long stopping one worker may take. */
  readonly stopWorkerMs: number;
  /** How long stopping a hive with its workers may take. */
  readonly stopHiveMs: number;
  /** Whether so many hives were lost together that nothing of them is ended or replaced. */
  readonly isFrozen: () => boolean;
  readonly listener: HiveKeeperListener;
  readonly metrics: HiveMetrics;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
}

/** The limits of the hive's life cycle, as they are now. */
export function hivePolicy({ health, restart, isFrozen }: HiveKeeperOptions): HivePolicy {
  return {
    suspectGraceMs: health.suspectGraceMs,
    linkStandsMinMs: health.retryMs,
    breakerRestarts: restart.breakerRestarts,
    breakerWindowMs: restart.breakerWindowMs,
    isFrozen: isFrozen(),
  };
}
