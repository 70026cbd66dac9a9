import { type CallbackAnswer, QhError, type WorkerExited, type WorkerReady, type WorkerRecord } from "@queen-and-hive/protocol";
import {
  type Freshness,
  judgeExited,
  judgeReady,
  type MessagePosition,
  type WorkerMemory,
} from "../domain/callback-freshness.ts";
import type { WorkerRow } from "../store/store.ts";
import { type FleetContext, hasEnded } from "./fleet-context.ts";
import type { WorkerEntry } from "./worker-table.ts";

/**
 * A hive's message that a worker is ready. Takes effect once: position and effect are in one transaction, and every request
 * that waits for the model is woken after it. Throws `forbidden`, `worker_gone`, `stale_epoch`, `stale_sequence`,
 * `stale_incarnation`, `storage_failed`.
 */
export function acceptReady(context: FleetContext, hiveId: string, message: WorkerReady): CallbackAnswer {
  const entry = entryFor(context, hiveId, message);
  const { row } = entry;
  const freshness = judgeReady({ ...memoryOf(entry), exitedIncarnation: endedIncarnation(row) }, positionOf(message));
  if (!isToApply(freshness, message)) {
    rememberPosition(context, entry, message);
    return { applied: false };
  }
  if (!row.wanted) throw workerGone(message.worker_id, "it is being stopped");
  const isFirst = row.record.ready_at === null;
  context.table.change(
    message.worker_id,
    {
      record: {
        state: "ready",
        incarnation: message.incarnation,
        pid: message.pid,
        start_time: message.start_time,
        // The event that says it may come later; until then the process has no identity without it.
        boot_id: context.hive(hiveId)?.bootId ?? row.record.boot_id,
        url: message.url,
        slots: message.slots ?? row.record.slots,
        spawned_at: message.spawned_at,
        ready_at: message.ready_at,
        progress: null,
        ...(message.memory_bytes === undefined ? {} : { resident_bytes: message.memory_bytes }),
      },
      last: { epoch: message.hive_epoch, sequence: message.sequence },
    },
    { actor: `hive:${hiveId}` },
  );
  const nowMs = context.clock.nowMs();
  context.metrics.readyNotify.observe(Math.max(0, nowMs - Date.parse(message.ready_at)) / 1_000);
  if (isFirst) context.metrics.spawnToReady.observe(Math.max(0, nowMs - Date.parse(row.decidedAt)) / 1_000);
  return { applied: true };
}

/**
 * A hive's message that a worker's process has ended; `onRecorded` is called once that is on disk, before anybody hears of
 * it. Throws `forbidden`, `worker_gone`, `stale_epoch`, `stale_sequence`,
 * `stale_incarnation`, `storage_failed`.
 */
export function acceptExited(
  context: FleetContext,
  hiveId: string,
  message: WorkerExited,
  onRecorded: () => void,
): CallbackAnswer {
  const entry = entryFor(context, hiveId, message);
  const freshness = judgeExited(memoryOf(entry), positionOf(message));
  if (!isToApply(freshness, message)) {
    rememberPosition(context, entry, message);
    return { applied: false };
  }
  const { record, wanted } = entry.row;
  // The event stream may have told of the next incarnation already: then this end is recorded and changes nothing else.
  const isCurrent = message.incarnation >= record.incarnation;
  const exit = { exit_code: message.exit_code, signal: message.signal, cause: message.cause, log_tail: message.log_tail };
  const ended: Partial<WorkerRecord> = {
    incarnation: message.incarnation,
    // What was stopped, by whomever, leaves the list when its hive says so; it has not failed.
    state: !wanted || message.cause === "stopped" ? "stopping" : message.will_restart ? "backing_off" : "failed",
    pid: null,
    start_time: null,
    boot_id: null,
    port: null,
    url: null,
    progress: null,
    exit,
  };
  context.table.change(
    message.worker_id,
    {
      ...(isCurrent ? { record: ended } : {}),
      exitedIncarnation: Math.max(message.incarnation, entry.row.exitedIncarnation),
      last: { epoch: message.hive_epoch, sequence: message.sequence },
    },
    {
      actor: `hive:${hiveId}`,
      cause: message.cause,
      onRecorded,
      events: [
        {
          kind: "worker.exit",
          actor: `hive:${hiveId}`,
          hive_id: hiveId,
          worker_id: message.worker_id,
          cause: message.cause,
          details: { ...exit, model: record.model, incarnation: message.incarnation, will_restart: message.will_restart },
        },
      ],
    },
  );
  return { applied: true };
}

type Message = WorkerReady | WorkerExited;

function entryFor(context: FleetContext, hiveId: string, message: Message): WorkerEntry {
  if (message.hive_id !== hiveId) {
    throw new QhError(
      "forbidden",
      `cannot take a message of ${message.hive_id} with the token of ${hiveId}: a hive speaks for itself only`,
    );
  }
  const entry = context.table.get(message.worker_id);
  if (entry === null) throw workerGone(message.worker_id, "the registry does not have it");
  if (entry.row.record.hive_id !== hiveId) {
    throw new QhError("forbidden", `cannot take a message about ${message.worker_id} from ${hiveId}: it belongs to another hive`);
  }
  return entry;
}

function workerGone(workerId: string, why: string): QhError {
  return new QhError("worker_gone", `cannot apply a message about ${workerId}: ${why}; drop the message`);
}

function memoryOf({ row }: WorkerEntry): WorkerMemory {
  return {
    last: row.last,
    incarnation: row.record.incarnation,
    exitedIncarnation: row.exitedIncarnation,
    ready: row.record.state === "ready",
  };
}

/** The newest incarnation that has ended as far as we know: the event stream may have told before the exit message comes. */
function endedIncarnation({ record, exitedIncarnation }: WorkerRow): number {
  return hasEnded(record) ? Math.max(record.incarnation, exitedIncarnation) : exitedIncarnation;
}

function positionOf(message: Message): MessagePosition & { readonly incarnation: number } {
  return { epoch: message.hive_epoch, sequence: message.sequence, incarnation: message.incarnation };
}

function isToApply(freshness: Freshness, message: Message): boolean {
  if (freshness.verdict !== "refuse") return freshness.verdict === "apply";
  throw new QhError(
    freshness.kind,
    `cannot apply a message about ${message.worker_id}: epoch ${message.hive_epoch}, sequence ${message.sequence}, ` +
      `incarnation ${message.incarnation} is older than what has taken effect; drop the message`,
  );
}

/** A repetition with a newer number still counts as heard, so that nothing older than it is applied later. */
function rememberPosition(context: FleetContext, entry: WorkerEntry, message: Message): void {
  const { last } = entry.row;
  if (last !== null && last.epoch === message.hive_epoch && last.sequence === message.sequence) return;
  context.table.change(
    message.worker_id,
    { last: { epoch: message.hive_epoch, sequence: message.sequence } },
    { actor: `hive:${message.hive_id}` },
  );
}
