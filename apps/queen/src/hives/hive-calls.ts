import { createPeer, Deadline, type PeerConnect } from "@queen-and-hive/daemon";
import {
  compileValidator,
  HIVE_ENDPOINTS,
  type HiveEvent,
  type HiveHealth,
  hiveEventSchema,
  QhError,
  type QueenAddress,
  type QueenClaimAnswer,
  valueOrThrow,
  type WorkerId,
  type WorkerRecord,
} from "@queen-and-hive/protocol";
import type { WorkerCalls } from "../workers/fleet-context.ts";

/** Everything that the queen asks of one hive daemon over HTTP. */
export interface HiveCalls extends WorkerCalls, AsyncDisposable {
  /** Who answers there; open and cheap. */
  health(signal?: AbortSignal): Promise<HiveHealth>;
  /** Says who owns the hive and where callbacks go. */
  claim(address: QueenAddress, signal?: AbortSignal): Promise<QueenClaimAnswer>;
  /** The event stream: a snapshot, then changes, telemetry and beats. */
  events(signal: AbortSignal): AsyncIterable<HiveEvent>;
  /** The last lines of a worker's own output. */
  workerLogs(workerId: WorkerId, query: { readonly tail?: string }, signal: AbortSignal): Promise<string>;
  /** The same, then what it writes, until it is gone. */
  followWorkerLogs(workerId: WorkerId, query: { readonly tail?: string }, signal: AbortSignal): AsyncIterable<string>;
  /** Tells the daemon to be quick: what is left of its stop has this long. */
  hurry(deadlineMs: number): Promise<void>;
}

/** What the calls need to know. */
export interface HiveCallsOptions {
  readonly hiveId: string;
  readonly url: string;
  readonly token: string;
  readonly timeoutMs: number;
  /** How long a spawn or stop call may take: a stop answers only when the process is gone. */
  readonly slowTimeoutMs: number;
  /** How connections to it are opened; null means by TCP from here. */
  readonly connect: PeerConnect | null;
}

const checkEvent = compileValidator<HiveEvent>(hiveEventSchema, "ignore");
/** Calls to one hive at the same time; further ones wait. */
const SOCKETS_MAX = 16;

/** Calls to a hive on one shared keep-alive agent, each with a deadline. */
export function createHiveCalls(options: HiveCallsOptions): HiveCalls {
  const { hiveId, token, timeoutMs, slowTimeoutMs } = options;
  const name = `the hive ${hiveId}`;
  const peer = createPeer({
    url: options.url,
    token: () => token,
    name,
    timeoutMs: slowTimeoutMs,
    maxSockets: SOCKETS_MAX,
    ...(options.connect === null ? {} : { connect: options.connect }),
  });
  const quick = (signal: AbortSignal | undefined) => ({
    deadline: Deadline.in(timeoutMs),
    ...(signal === undefined ? {} : { signal }),
  });
  const slow = (signal: AbortSignal | undefined) => ({
    deadline: Deadline.in(slowTimeoutMs),
    ...(signal === undefined ? {} : { signal }),
  });
  return {
    health: (signal) => peer.call(HIVE_ENDPOINTS.getHealth, quick(signal)),
    claim: (body, signal) => peer.call(HIVE_ENDPOINTS.putQueen, { body, ...quick(signal) }),
    capabilities: (signal) => peer.call(HIVE_ENDPOINTS.getCapabilities, quick(signal)),
    spawn: (body, signal): Promise<WorkerRecord> => peer.call(HIVE_ENDPOINTS.postWorker, { body, ...slow(signal) }),
    stopWorker: (workerId, signal) =>
      peer.call(HIVE_ENDPOINTS.deleteWorker, { params: { worker_id: workerId }, ...slow(signal) }),
    drainWorker: (workerId, signal) =>
      peer.call(HIVE_ENDPOINTS.drainWorker, { params: { worker_id: workerId }, ...quick(signal) }),
    checkWorker: (workerId, signal) =>
      peer.call(HIVE_ENDPOINTS.checkWorker, { params: { worker_id: workerId }, ...quick(signal) }),
    getWorker: (workerId, signal) => peer.call(HIVE_ENDPOINTS.getWorker, { params: { worker_id: workerId }, ...quick(signal) }),
    workerLogs: async (workerId, query, signal) =>
      String(await peer.call(HIVE_ENDPOINTS.getWorkerLogs, { params: { worker_id: workerId }, query, ...quick(signal) })),
    followWorkerLogs: (workerId, query, signal) =>
      peer.text<typeof HIVE_ENDPOINTS.getWorkerLogs>(HIVE_ENDPOINTS.getWorkerLogs, {
        params: { worker_id: workerId },
        query: { ...query, follow: "true" },
        signal,
      }),
    async hurry(deadlineMs) {
      // It answers when the workers are gone.
      const deadline = Deadline.in(deadlineMs + slowTimeoutMs);
      await peer.call(HIVE_ENDPOINTS.postShutdown, { body: { workers: "stop", deadline_ms: deadlineMs }, deadline });
    },
    async *events(signal) {
      for await (const event of peer.events(HIVE_ENDPOINTS.getEvents, { signal })) yield parseHiveEvent(event.data, name);
    },
    [Symbol.asyncDispose]: () => peer[Symbol.asyncDispose](),
  };
}

function parseHiveEvent(data: string, name: string): HiveEvent {
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch (cause) {
    throw new QhError("peer_nonsense", `cannot read an event of ${name}: it is not JSON`, { cause });
  }
  return valueOrThrow(checkEvent(value), "peer_nonsense", `an event of ${name}`);
}
