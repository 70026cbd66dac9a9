import type { Handlers } from "@queen-and-hive/daemon";
import type { QUEEN_ENDPOINTS } from "@queen-and-hive/protocol";
import type { Gateway } from "../gateway/gateway.ts";
import { deleteHive } from "./delete-hive.ts";
import { deleteRequest } from "./delete-request.ts";
import { getEvents } from "./get-events.ts";
import { getHealth } from "./get-health.ts";
import { getHive } from "./get-hive.ts";
import { getHiveLogs } from "./get-hive-logs.ts";
import { getLivez } from "./get-livez.ts";
import { getMetrics } from "./get-metrics.ts";
import { getModel } from "./get-model.ts";
import { getReadyz } from "./get-readyz.ts";
import { getVersion } from "./get-version.ts";
import { getWorkerLogs } from "./get-worker-logs.ts";
import type { Identity } from "./identity.ts";
import { listHives } from "./list-hives.ts";
import { listModels } from "./list-models.ts";
import { listRequests } from "./list-requests.ts";
import { listWorkers } from "./list-workers.ts";
import { postHiveDrain } from "./post-hive-drain.ts";
import { postHiveReady } from "./post-hive-ready.ts";
import { postHiveRestart } from "./post-hive-restart.ts";
import { postHiveResume } from "./post-hive-resume.ts";
import { postHiveStart } from "./post-hive-start.ts";
import { postHiveStop } from "./post-hive-stop.ts";
import { postShutdown } from "./post-shutdown.ts";
import { postWorkerExited } from "./post-worker-exited.ts";
import { postWorkerReady } from "./post-worker-ready.ts";
import { putHive } from "./put-hive.ts";
import type { QueenView } from "./queen-view.ts";

/** A handler for every row of the queen's endpoint table. */
export function queenHandlers(queen: QueenView, gateway: Gateway<Identity>): Handlers<typeof QUEEN_ENDPOINTS, Identity> {
  return {
    ...gateway.handlers,
    listModels: listModels(queen),
    getModel: getModel(queen),
    postHiveReady: postHiveReady(queen),
    postWorkerReady: postWorkerReady(queen),
    postWorkerExited: postWorkerExited(queen),
    listHives: listHives(queen),
    getHive: getHive(queen),
    putHive: putHive(queen),
    deleteHive: deleteHive(queen),
    postHiveDrain: postHiveDrain(queen),
    postHiveRestart: postHiveRestart(queen),
    postHiveResume: postHiveResume(queen),
    postHiveStart: postHiveStart(queen),
    postHiveStop: postHiveStop(queen),
    getHiveLogs: getHiveLogs(queen),
    listWorkers: listWorkers(queen),
    getWorkerLogs: getWorkerLogs(queen),
    listRequests: listRequests(queen),
    deleteRequest: deleteRequest(queen),
    getEvents: getEvents(queen),
    postShutdown: postShutdown(queen),
    getLivez: getLivez(queen),
    getReadyz: getReadyz(queen),
    getHealth: getHealth(queen),
    getVersion: getVersion(queen),
    getMetrics: getMetrics(queen),
  };
}
