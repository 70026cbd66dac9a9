import type { Socket } from "node:net";
import type { Broadcast } from "@queen-and-hive/daemon";
import type { ExitCause, HiveId, WorkerId } from "@queen-and-hive/protocol";
import type { WorkerStanding } from "../domain/scheduling.ts";

/** What an upstream is known by where workers have their ids. */
export type UpstreamName = `upstream:${string}`;

/** Opens a connection to an engine that is reached another way than by TCP from here. */
export type EngineConnect = (address: { readonly host: string; readonly port: number }, withinMs: number) => Promise<Socket>;

/** A worker that may be given requests now: ready, on a running hive, not draining; or a model of an upstream. */
export interface ReadyWorker {
  readonly workerId: WorkerId | UpstreamName;
  readonly incarnation: number;
  /** Null for an upstream. */
  readonly hiveId: HiveId | null;
  /** `http(s)://host:port` of its OpenAI-compatible server. */
  readonly url: string;
  /** The path below which its OpenAI API stands: `/v1` for workers. */
  readonly basePath: string;
  /** What the engine calls the model. */
  readonly model: string;
  /** Bearer key that the engine asks for, or null. */
  readonly key: string | null;
  /** How connections to it are opened; absent: by TCP from here. */
  readonly connect?: EngineConnect;
  /** How many requests it serves at the same time. */
  readonly slots: number;
  /** Given a request only while none of the others has a free slot. */
  readonly overflow: boolean;
  /** Aborted when this incarnation ends or its hive is given up, with the reason as a QhError. */
  readonly lost: AbortSignal;
}

/** Why a model cannot be had at the moment. */
export interface ModelFailure {
  readonly cause: ExitCause | "no_hive_available" | "upstream_unreachable";
  /** A sentence for clients: no log lines, no paths of hosts. */
  readonly message: string;
  readonly retryAfterS: number;
}

/** What traffic tells about a worker. */
export type TrafficOutcome = "ok" | "connect_failed" | "reset" | "timeout" | "server_error";

/** What the gateway may ask of the part that looks after workers. */
export interface WorkerDirectory {
  /** The workers of a model that may be given requests now. */
  ready(modelId: string): readonly ReadyWorker[];
  /** How many workers of a model are on their way to ready. */
  starting(modelId: string): number;
  /** Somebody waits for this model: starts a worker when none is ready or on its way. Idempotent, returns at once. */
  want(modelId: string): void;
  /** Why the model cannot be had now although it is wanted, or null while there is hope. */
  failure(modelId: string): ModelFailure | null;
  /** Fires after every change that concerns a model: a worker ready, lost, failed. The value is the model's id. */
  readonly changes: Broadcast<string>;
  /** Feeds what traffic saw into the health of worker and hive. */
  report(worker: ReadyWorker, outcome: TrafficOutcome): void;
  /** Whether what traffic saw lately lets a worker be given requests. */
  standing(worker: ReadyWorker): WorkerStanding;
  /** Whether its hive may be lost, or it is an upstream that is down: what it has not begun to answer had better be asked elsewhere. Changes with `changes`. */
  isDoubted(worker: ReadyWorker): boolean;
  /** A worker has given back its last request. */
  idle(worker: ReadyWorker): void;
}
