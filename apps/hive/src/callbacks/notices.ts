import type { Notices } from "../workers/supervision.ts";
import type { Outbox } from "./outbox.ts";

/** The supervisor's way into the outbox. */
export function outboxNotices(outbox: Outbox): Notices {
  return {
    workerReady: ({ queen_id, ...body }) => outbox.add(queen_id, { kind: "worker_ready", body }),
    workerExited: ({ queen_id, ...body }) => outbox.add(queen_id, { kind: "worker_exited", body }),
  };
}
