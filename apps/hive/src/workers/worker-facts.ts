import type { WorkerId, WorkerSpec } from "@queen-and-hive/protocol";
import type { WorkerEvent, WorkerLife } from "../domain/worker-states.ts";

/** What belongs to a worker beside the state that its machine decides on. */
export interface WorkerFacts {
  readonly workerId: WorkerId;
  readonly queenId: string;
  readonly spec: WorkerSpec;
  /** When the present state began, Unix time in ms. */
  readonly sinceMs: number;
  readonly spawnedAtMs: number | null;
  readonly readyAtMs: number | null;
  /** When the next start is due, Unix time in ms; null for never or not waiting. */
  readonly retryAtMs: number | null;
  readonly ports: readonly number[];
  /** The devices that it was given. */
  readonly devices: readonly string[];
  /** What it was promised on each of them, in bytes; null when its need is not known. */
  readonly claimBytes: number | null;
  /** What its memory is remembered under; null before its first start. */
  readonly memoryKey: string | null;
  /** Keys (`pid:start_time`) of its processes, as last seen. */
  readonly descendants: readonly string[];
  /** Where this incarnation's output begins in the worker's file. */
  readonly logOffset: number;
  readonly tokenSha256: string | null;
  /** Of earlier incarnations, newest first. */
  readonly oldTokensSha256: readonly string[];
  /** What the worker says of its loading; null when it says nothing or does not load. */
  readonly progress: string | null;
  /** The operator's word. */
  readonly stopWanted: boolean;
}

/** The facts of a worker that was just asked for. */
export function newWorkerFacts(workerId: WorkerId, queenId: string, spec: WorkerSpec, nowMs: number): WorkerFacts {
  return {
    workerId,
    queenId,
    spec,
    sinceMs: nowMs,
    spawnedAtMs: null,
    readyAtMs: null,
    retryAtMs: null,
    ports: [],
    devices: [],
    claimBytes: null,
    memoryKey: null,
    descendants: [],
    logOffset: 0,
    tokenSha256: null,
    oldTokensSha256: [],
    progress: null,
    stopWanted: false,
  };
}

/** The address on which a worker can be reached; engines that listen everywhere are reached on loopback. */
export function workerUrl(workerHost: string, port: number): string {
  const host = workerHost === "0.0.0.0" ? "127.0.0.1" : workerHost === "::" ? "::1" : workerHost;
  return `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** A step of a worker's life. */
export interface LifeStep {
  readonly from: WorkerLife;
  readonly to: WorkerLife;
  readonly nowMs: number;
}

/** The facts after a step: since when, ready when, tried again when, and whether an operator wants it stopped. */
export function factsAfter(facts: WorkerFacts, event: WorkerEvent, { from, to, nowMs }: LifeStep): WorkerFacts {
  const { phase } = to;
  const waitMs = phase.name === "crashed" ? phase.decision.waitMs : "waitMs" in phase ? phase.waitMs : Number.POSITIVE_INFINITY;
  const isStarting = phase.name === "starting" || phase.name === "loading";
  return {
    ...facts,
    sinceMs: phase.name === from.phase.name ? facts.sinceMs : nowMs,
    readyAtMs: "readyAtMs" in phase ? phase.readyAtMs : isStarting ? null : facts.readyAtMs,
    retryAtMs: Number.isFinite(waitMs) ? nowMs + waitMs : null,
    // The end of a worker that was drained is its stop: the operator's word too, over a crash of ours in between.
    stopWanted: facts.stopWanted || event.type === "stop_requested" || (phase.name === "stopping" && phase.reason === "operator"),
  };
}
