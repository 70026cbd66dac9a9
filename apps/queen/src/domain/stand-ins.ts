/** A wanted worker of a model that has not failed. */
export interface CountedWorker {
  readonly workerId: string;
  readonly hiveId: string;
  /** When it was decided on, ISO 8601. */
  readonly decidedAt: string;
}

/**
 * Which workers of a model have to go now that a hive whose workers did not count is back: as many as it brings, of those
 * that were decided on elsewhere since `lostSince` (ISO 8601), the newest first; and more where the model has more than
 * `max`. What the hive itself has is kept.
 */
export function planStandInsEnd(
  workers: readonly CountedWorker[],
  hiveId: string,
  lostSince: string,
  max: number,
): readonly string[] {
  const others = workers
    .filter((worker) => worker.hiveId !== hiveId)
    .sort((one, other) => (one.decidedAt < other.decidedAt ? 1 : one.decidedAt > other.decidedAt ? -1 : 0));
  const returned = workers.length - others.length;
  const standIns = others.filter(({ decidedAt }) => decidedAt >= lostSince).length;
  const count = Math.max(Math.min(returned, standIns), workers.length - max);
  return others.slice(0, Math.max(0, count)).map(({ workerId }) => workerId);
}
