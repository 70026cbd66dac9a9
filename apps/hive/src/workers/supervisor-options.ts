import type { Clock, Log, Metrics } from "@queen-and-hive/daemon";
import type { Devices } from "../resources/devices.ts";
import type { HealthSettings } from "./health-watch.ts";
import type { Notices } from "./supervision.ts";

/** The part of the hive's settings that concerns its workers; `HiveSettings` is one. */
export interface SupervisorConfig {
  /** Both ends belong to the range. */
  readonly workerPorts: { readonly first: number; readonly last: number };
  readonly portsPerWorker: number;
  /** Where engines listen. */
  readonly workerHost: string;
  /** Relative model paths start here. */
  readonly modelsDir: string | null;
  /** Real paths of models must lie in one of these when set. */
  readonly modelRoots: readonly string[] | null;
  /** The devices that workers may have, null for all, and what stays free on each. */
  readonly devices: { readonly use: readonly string[] | null; readonly keepFreeBytes: number };
  /** Variables for every worker of this host; a worker's own win. */
  readonly env: Readonly<Record<string, string>>;
  /** Where this host keeps an engine. */
  readonly runtimes: Readonly<Record<string, { readonly bin?: string }>>;
  /** How long a worker gets after TERM, and how long its end is verified after KILL. */
  readonly stop: { readonly termMs: number; readonly verifyMs: number };
  readonly limits: {
    readonly workers: number;
    readonly slotsPerWorker: number;
    readonly workerLogBytes: number;
    /** Older outputs beside the current one. */
    readonly workerLogsKept: number;
    /** So many starts of a worker have their output kept, the present one included. */
    readonly workerStartsKept: number;
    readonly logTailLines: number;
  };
  /** Pauses between two looks at a worker that loads. */
  readonly readyProbe: { readonly firstMs: number; readonly maxMs: number };
  readonly health: HealthSettings;
  readonly sampleEveryMs: number;
}

/** How to launch the embedded worker: the first words of its command line. */
export interface EmbeddedLauncher {
  readonly command: readonly [string, ...string[]];
}

/** What the supervisor is given. */
export interface SupervisorOptions {
  readonly stateDir: string;
  readonly hiveId: string;
  /** Random hex per state directory: every process of ours carries it. */
  readonly stateId: string;
  readonly config: SupervisorConfig;
  /** What workers inherit before anything is added (the daemon's own environment); names that start with `HIVE_` are left out. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /**
   * The full URL of `POST /v1/workers/ready` for workers. Asked at every launch; a promise makes launches wait, so
   * that recovery can come before listening.
   */
  readonly callbackUrl: () => string | Promise<string>;
  /** Asked at every launch of the runtime `embedded`; the reason is a sentence that says what to do. */
  readonly embeddedWorker: () => EmbeddedLauncher | { readonly unavailable: string };
  /** The key that a worker's callers must bring; null or absent where only this machine can reach it. */
  readonly workerKey?: (workerId: string) => string | null;
  readonly devices: Pick<Devices, "read" | "latest">;
  readonly notices: Notices;
  /** Where the kernel is asked about memory and cgroups; for tests, and absent elsewhere. */
  readonly kernel?: { readonly vmstat: string; readonly cgroup: string | null };
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics?: Metrics;
}
