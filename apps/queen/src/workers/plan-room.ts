import { type Contender, type EvictionPlan, planEviction, type Resident } from "../domain/eviction.ts";
import type { FleetContext } from "./fleet-context.ts";
import type { WorkerEntry } from "./worker-table.ts";
import { usageOf } from "./worker-usage.ts";

/** Who wants room where. */
export interface RoomQuestion extends Contender {
  readonly hiveId: string;
  readonly modelId: string;
  /** Whether a worker only finishes what it has, and is then stopped. */
  readonly isDraining: (workerId: string) => boolean;
  /** So long a worker has been given no more requests for others to have their turn; null: it is given them. */
  readonly yieldingForMs: (workerId: string) => number | null;
}

/** So long a worker that is being stopped is waited for before another one is stopped, too. */
const LEAVING_MS = 15_000;

/** What a model can have done for it on one hive, whose workers are as they are now. */
export function planRoom(context: FleetContext, question: RoomQuestion): EvictionPlan {
  const { table, clock, eviction } = context;
  const others = table.ofHive(question.hiveId).filter(({ row }) => row.record.model !== question.modelId);
  const leavingMs = others
    .filter(({ row }) => !row.wanted && !question.isDraining(row.record.worker_id))
    .map(({ row }) => LEAVING_MS - (clock.nowMs() - Date.parse(row.record.since)))
    .filter((restMs) => restMs > 0);
  if (leavingMs.length > 0) return { kind: "wait", forMs: Math.max(...leavingMs) };
  // One that has failed for good holds no memory, and is not on its way to any.
  const residing = others.filter(
    ({ row }) => question.isDraining(row.record.worker_id) || (row.wanted && row.record.state !== "failed"),
  );
  const residents = residing.map((entry) => residentOf(context, entry, question));
  return planEviction(residents, question, eviction);
}

function residentOf(context: FleetContext, entry: WorkerEntry, { isDraining, yieldingForMs }: RoomQuestion): Resident {
  const { row } = entry;
  const memory = row.spec?.needs?.memory_bytes;
  return {
    ...usageOf(context, entry),
    coming: entry.ready === null,
    kept: row.wanted && isKept(context, entry),
    yieldingForMs: isDraining(row.record.worker_id) ? 0 : yieldingForMs(row.record.worker_id),
    memoryBytes: typeof memory === "number" ? memory : null,
    devices: row.record.devices ?? [],
  };
}

/** Pinned, or one of those that its model always has: the most recently used ones count as these. */
function isKept(context: FleetContext, { row }: WorkerEntry): boolean {
  const { models, table } = context;
  const model = models.get(row.record.model);
  if (model === undefined || model.pin) return true;
  const keep = model.perHive ?? model.workersMin;
  if (keep === 0) return false;
  const peers = table
    .ofModel(model.id)
    .filter((peer) => peer.row.wanted && (model.perHive === null || peer.row.record.hive_id === row.record.hive_id))
    .sort((one, other) => usageOf(context, one).idleForMs - usageOf(context, other).idleForMs);
  return peers.slice(0, keep).some((peer) => peer.row.record.worker_id === row.record.worker_id);
}
