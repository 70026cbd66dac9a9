/** A wanted worker of a model that has not failed. */
export interface CountedWorker {
  readonly workerId: string;
  readonly hiveId: string;
  /** When it was decided on, ISO 8601. */
  readonly decidedAt: string;
  readonly isReady: boolean;
}

/** A hive that is back. */
export interface ReturnedHive {
  readonly hiveId: string;
  /** Since when its workers did not count, ISO 8601. */
  readonly lostSince: string;
  /** Those of its workers that have been ready since it is back: who stood in for them has ended. */
  readonly settled: ReadonlySet<string>;
}

/** Which workers of a model have to go now that a hive is back. */
export interface StandInsEnd {
  readonly ending: readonly string[];
  /** Workers of the hive that have become ready. */
  readonly settled: readonly string[];
  /** Nothing more is waited for. */
  readonly isOver: boolean;
}

/**
 * A hive whose workers did not count is back. Each of them that is ready again ends one worker that was decided on elsewhere
 * meanwhile, the newest first; one that is still on its way ends nobody, since who stands in for it may be all that serves. More go
 * where the model has more than `max` beside those that are on their way. What the hive itself has is kept.
 */
export function planStandInsEnd(workers: readonly CountedWorker[], hive: ReturnedHive, max: number): StandInsEnd {
  const others = workers
    .filter(({ hiveId }) => hiveId !== hive.hiveId)
    .sort((one, other) => (one.decidedAt < other.decidedAt ? 1 : one.decidedAt > other.decidedAt ? -1 : 0));
  const returned = workers.filter(({ hiveId, decidedAt }) => hiveId === hive.hiveId && decidedAt < hive.lostSince);
  const unsettled = returned.filter(({ workerId }) => !hive.settled.has(workerId));
  const settled = unsettled.filter(({ isReady }) => isReady).map(({ workerId }) => workerId);
  const standIns = others.filter(({ decidedAt }) => decidedAt >= hive.lostSince).length;
  const onTheirWay = returned.filter(({ isReady }) => !isReady).length;
  const count = Math.max(Math.min(settled.length, standIns), workers.length - onTheirWay - max);
  return {
    ending: others.slice(0, Math.max(0, count)).map(({ workerId }) => workerId),
    settled,
    isOver: settled.length === unsettled.length,
  };
}
