import type { HiveEvent, WorkerRecord } from "@queen-and-hive/protocol";

/** Where the hives' news about workers go. */
export interface WorkerNewsReceiver {
  onHiveEvent(hiveId: string, event: HiveEvent): void;
  onHiveState(hiveId: string): void;
  onHiveWentBack(hiveId: string): void;
  abandon(hiveId: string, reason: string): void;
  onHiveStopped(hiveId: string): void;
  list(): readonly WorkerRecord[];
}
