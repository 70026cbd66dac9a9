import type { HiveConfigInput, ModelRecord, QueenConfigInput, WorkerSpec } from "@queen-and-hive/protocol";
import type { UpstreamSettings } from "../upstreams/upstream-settings.ts";
import type { SshReach } from "./ssh-reach.ts";

/** A place to listen on. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** What a key may do: `inference` the OpenAI routes, `read` the lists, `operate` also changes, `admin` everything. */
export type Role = "inference" | "read" | "operate" | "admin";

/** One key of the configuration, its secret resolved. */
export interface KeySettings {
  readonly name: string;
  readonly role: Role;
  readonly key: string;
  /** Model ids that this key may use; null means all. */
  readonly models: readonly string[] | null;
}

/** One hive that this queen looks after. */
export interface HiveSettings {
  readonly id: string;
  /** How its machine is reached; null means this machine. */
  readonly reach: SshReach | null;
  /** How calls and callbacks travel: straight on this machine, inside the SSH connection, or over the network. */
  readonly transport: "local" | "tunnel" | "direct";
  readonly onQueenExit: "stop" | "keep";
  /** `best_effort`: its host may be off without an alarm. */
  readonly presence: "always" | "best_effort";
  readonly labels: Readonly<Record<string, string>>;
  /** Null means the default of its machine; `~` is our home there. */
  readonly stateDir: string | null;
  /** Where the hive's executable is installed; null means that this checkout's hive is used. */
  readonly installDir: string | null;
  /** What the hive daemon is given at its start. */
  readonly config: HiveConfigInput;
}

/** What a model is for. */
export type ModelTask = NonNullable<NonNullable<QueenConfigInput["models"]>[number]["task"]>;

/** One model that clients can ask for. */
export interface ModelSettings {
  readonly id: string;
  readonly aliases: readonly string[];
  readonly task: ModelTask | null;
  /** The least number of workers, over all hives or per hive; started at once and kept. */
  readonly workersMin: number;
  readonly workersMax: number;
  readonly perHive: number | null;
  /** Its workers are never evicted for another model. */
  readonly pin: boolean;
  /** A worker that serves nobody for so long is stopped; Infinity: never. */
  readonly idleStopMs: number;
  readonly place: { readonly hives: readonly string[] | null; readonly labels: Readonly<Record<string, string>> };
  /** A limit of ours on requests per worker, or `auto`: what the engine says. */
  readonly slots: number | "auto";
  /** Paths beside OpenAI's that its runtime serves and clients may reach. */
  readonly routes: readonly string[];
  readonly spec: WorkerSpec;
  readonly created: ModelRecord["created"];
}

/** When a hive is suspected, diagnosed and given up; milliseconds. */
export interface HealthSettings {
  readonly intervalMs: number;
  readonly failures: number;
  readonly timeoutMs: number;
  readonly beatMs: number;
  readonly missedBeats: number;
  readonly suspectGraceMs: number;
  readonly retryMs: number;
  readonly replaceAfterMs: number;
  /** How many hives there must be, and how close together more than half of them be lost, for the guard to freeze, and for how long at most. */
  readonly massLoss: { readonly hivesMin: number; readonly windowMs: number; readonly holdMs: number };
  readonly startMs: number;
}

/** Back-off and breaker of restarts; milliseconds. */
export interface RestartSettings {
  readonly firstMs: number;
  readonly factor: number;
  readonly maxMs: number;
  readonly jitter: number;
  readonly breakerRestarts: number;
  readonly breakerWindowMs: number;
  readonly unreadyInARow: number;
  readonly retryOpenEveryMs: number;
}

/** Limits of the look at a host before the first start of its hive. */
export interface PreflightSettings {
  readonly deadlineMs: number;
  /** How long each program that is asked something there may take, milliseconds. */
  readonly programMs: number;
  readonly clockSkewMs: number;
  readonly diskFreeBytes: number;
  readonly memoryFreeBytes: number;
}

/** How the hive's executable comes to hosts. */
export interface InstallSettings {
  /** Directory with the executables; null means the checkout's own. */
  readonly from: string | null;
  readonly uploadMs: number;
  /** How many versions stay on a host. */
  readonly keep: number;
}

/** The queen's configuration, checked and with all durations and sizes as numbers. */
export interface QueenSettings {
  /** The file it came from, or null for the defaults alone. */
  readonly file: string | null;
  readonly listen: readonly ListenAddress[];
  /** Where direct hives call back; null while there are none. */
  readonly hiveListen: ListenAddress | null;
  readonly stateDir: string;
  readonly keys: readonly KeySettings[];
  readonly hives: readonly HiveSettings[];
  readonly models: readonly ModelSettings[];
  readonly upstreams: readonly UpstreamSettings[];
  readonly health: HealthSettings;
  readonly restart: RestartSettings;
  /** When one model has to make room for another. */
  readonly eviction: { readonly minResidentMs: number; readonly turnMs: number };
  readonly queue: {
    readonly maxWaiting: number;
    readonly maxWaitMs: number;
    readonly loadWaitMs: number;
    readonly sessionsKept: number;
  };
  readonly stream: {
    readonly commitAfterMs: number;
    readonly connectMs: number;
    readonly firstByteMs: number;
    readonly idleMs: number;
    readonly totalMs: number;
    readonly keepAliveMs: number;
  };
  /** How often a request is tried, and how long it hopes for another worker. */
  readonly retry: { readonly attempts: number; readonly waitMs: number };
  readonly limits: {
    readonly bodyBytes: number;
    /** The bodies of all open requests together. */
    readonly bodiesBytes: number;
    readonly headersBytes: number;
    /** Open connections of one address, on each listener. */
    readonly connectionsPerIp: number;
    /** How long a whole request may take to arrive. */
    readonly receiveMs: number;
    readonly wholeAnswerBytes: number;
    readonly eventBytes: number;
    /** What is held of the answers of all open requests together. */
    readonly answersBytes: number;
  };
  readonly log: {
    readonly level: "debug" | "info" | "warn" | "error";
    readonly format: "auto" | "json" | "pretty";
    readonly maxBytes: number;
    readonly keep: number;
  };
  /** How long a worker that is stopped, or a hive that is removed, may finish what it serves; not for the queen's own stop. */
  readonly drainMs: number;
  readonly shutdown: { readonly budgetMs: number; readonly drainMs: number };
  readonly stop: { readonly termMs: number; readonly verifyMs: number };
  readonly preflight: PreflightSettings;
  readonly install: InstallSettings;
  /** What is accepted but not built yet, one sentence per key. */
  readonly warnings: readonly string[];
}
