import type { Clock, Log } from "@queen-and-hive/daemon";
import type { Capabilities, QueenAddress, SpawnRequest, WorkerRecord, WorkerStopAnswer } from "@queen-and-hive/protocol";
import type { ModelSettings, RestartSettings } from "../config/settings.ts";
import type { EvictionRules } from "../domain/eviction.ts";
import type { FleetMetrics } from "./fleet-metrics.ts";
import type { EngineConnect } from "./worker-directory.ts";
import type { WorkerTable } from "./worker-table.ts";

/** The calls that the fleet makes to a hive. */
export interface WorkerCalls {
  spawn(request: SpawnRequest, signal?: AbortSignal): Promise<WorkerRecord>;
  stopWorker(workerId: string, signal?: AbortSignal): Promise<WorkerStopAnswer>;
  /** It gives the worker nothing new and shows that, until it is stopped. */
  drainWorker(workerId: string, signal?: AbortSignal): Promise<WorkerRecord>;
  /** Requests to a worker got no answer: its hive looks whether it still serves. */
  checkWorker(workerId: string, signal?: AbortSignal): Promise<WorkerRecord>;
  getWorker(workerId: string, signal?: AbortSignal): Promise<WorkerRecord>;
  /** What its host has, as of now. */
  capabilities(signal?: AbortSignal): Promise<Capabilities>;
}

/** A hive as the fleet sees it. */
export interface FleetHive {
  readonly hiveId: string;
  /** The machine that it runs on; several hives may share one. */
  readonly hostName: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Boot id of its host, as its daemon that runs has said; null while none is known to run. */
  readonly bootId: string | null;
  /** New requests and workers may go there. */
  readonly usable: boolean;
  /** It may be lost: what its workers have not begun to answer had better be asked elsewhere. */
  readonly inDoubt: boolean;
  /** It is being started. */
  readonly arriving: boolean;
  /** It runs or is expected to run again without anybody's help. */
  readonly hopeful: boolean;
  /** Drained or stopped by an operator, or away for long: its workers do not count for `min` and `max`, others take their place. */
  readonly isReplaced: boolean;
  /** Since when others may stand in for its workers, ISO 8601, also once it is back; null when nobody does. */
  readonly replacedSince: string | null;
  /** It is back, and nobody stands in for its workers any more. */
  readonly standInsEnded: () => void;
  /** How to call it; null while there is no connection. */
  readonly calls: WorkerCalls | null;
  /** Where this hive is told to call back. */
  readonly queen: () => QueenAddress;
  /** How its engines are reached; null means by TCP from here. */
  readonly connect: EngineConnect | null;
  /** The key that its engines ask for; null where only their own machine can reach them. */
  readonly workerKey: (workerId: string) => string | null;
}

/** What the parts of the fleet share. */
export interface FleetContext {
  readonly table: WorkerTable;
  readonly models: ReadonlyMap<string, ModelSettings>;
  readonly restart: RestartSettings;
  readonly hives: () => readonly FleetHive[];
  readonly hive: (hiveId: string) => FleetHive | null;
  /** The address that hives are told, of this epoch. */
  readonly queen: () => QueenAddress;
  /** Requests that a worker serves now. */
  readonly inFlight: (workerId: string) => number;
  /** When a worker gave back its last request, monotonic milliseconds; null when it has served none. */
  readonly lastUsedMs: (workerId: string) => number | null;
  /** Requests that wait for a model. */
  readonly waiting: (modelId: string) => number;
  readonly eviction: EvictionRules;
  /** How long a worker that is stopped may finish what it serves, outside the queen's own stop. */
  readonly drainMs: number;
  readonly metrics: FleetMetrics;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  /** True once the queen stops: nothing is started any more. */
  readonly stopping: () => boolean;
}

/**
 * Whether a worker is on its way to ready, or will be there again by itself. A wanted one that its hive stops (it was hung,
 * or its start was given up) is started again after that.
 */
export function isOnItsWay({ state }: WorkerRecord): boolean {
  return ON_THEIR_WAY.has(state);
}

const ON_THEIR_WAY: ReadonlySet<WorkerRecord["state"]> = new Set([
  "starting",
  "loading",
  "hung",
  "stopping",
  "crashed",
  "backing_off",
]);

/** Whether a worker is between an end and a start, so that its last exit says why it does not serve. */
export function hasEnded({ state }: WorkerRecord): boolean {
  return state === "crashed" || state === "backing_off" || state === "failed";
}
