import type { Handlers } from "@queen-and-hive/daemon";
import type { HIVE_ENDPOINTS } from "@queen-and-hive/protocol";
import { checkWorker } from "./check-worker.ts";
import { deleteWorker } from "./delete-worker.ts";
import { drainWorker } from "./drain-worker.ts";
import { getCapabilities } from "./get-capabilities.ts";
import { getEvents } from "./get-events.ts";
import { getHealth } from "./get-health.ts";
import { getMetrics } from "./get-metrics.ts";
import { getWorker } from "./get-worker.ts";
import { getWorkerLogs } from "./get-worker-logs.ts";
import type { HiveCaller, HiveParts } from "./hive-parts.ts";
import { listWorkers } from "./list-workers.ts";
import { postShutdown } from "./post-shutdown.ts";
import { postWorker } from "./post-worker.ts";
import { postWorkerReady } from "./post-worker-ready.ts";
import { putQueen } from "./put-queen.ts";

/** A handler for every row of the hive's endpoint table. */
export function hiveHandlers(hive: HiveParts): Handlers<typeof HIVE_ENDPOINTS, HiveCaller> {
  return {
    getHealth: getHealth(hive),
    putQueen: putQueen(hive),
    getCapabilities: getCapabilities(hive),
    listWorkers: listWorkers(hive),
    postWorker: postWorker(hive),
    getWorker: getWorker(hive),
    deleteWorker: deleteWorker(hive),
    drainWorker: drainWorker(hive),
    checkWorker: checkWorker(hive),
    getWorkerLogs: getWorkerLogs(hive),
    postWorkerReady: postWorkerReady(hive),
    getEvents: getEvents(hive),
    getMetrics: getMetrics(hive),
    postShutdown: postShutdown(hive),
  };
}
