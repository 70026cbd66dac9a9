import type { Clock } from "@queen-and-hive/daemon";
import type { WorkerRecord } from "@queen-and-hive/protocol";
import type { SshReach } from "../config/ssh-reach.ts";
import { createHost } from "../hosts/create-host.ts";
import { createHiveCommands } from "../hosts/hive-commands.ts";
import type { HiveRow } from "../store/store.ts";
import { stopOnHost } from "./host-stop.ts";
import type { StoppableHive } from "./stop-cascade.ts";

/** What is needed to stop a hive of the registry. */
export interface RecordedHiveOptions {
  readonly queenId: string;
  /** How its host is reached now, where the configuration still means that host. */
  readonly reach?: SshReach | null;
  /** Its workers as the registry knows them. */
  readonly workers: () => readonly WorkerRecord[];
  readonly clock: Clock;
}

/** A hive where the registry says that it is, whatever the configuration says; it can be stopped there. */
export interface RecordedHive extends StoppableHive, AsyncDisposable {
  /** How lists name its host. */
  readonly hostName: string;
}

/** Connects to nothing before it is used. */
export function recordedHive(row: HiveRow, { queenId, reach, workers, clock }: RecordedHiveOptions): RecordedHive {
  const host = createHost(reach === undefined ? (row.reach ?? null) : reach, clock);
  const { hiveId, installDir = null, stateDir, identity: known } = row;
  const commands = createHiveCommands(host, { hiveId, installDir, stateDir });
  const close = async (): Promise<void> => await host[Symbol.asyncDispose]();
  return {
    hiveId,
    hostName: host.name,
    onQueenExit: "stop",
    stop: (how, deadline) => stopOnHost({ host, commands, queenId, known }, how, deadline),
    letGo: close,
    workers,
    isAlive: (identity) => host.isAlive(identity),
    [Symbol.asyncDispose]: close,
  };
}
