/** What is known of a hive when a worker has to be placed. */
export interface PlacementHive {
  readonly hiveId: string;
  readonly usable: boolean;
  /** It is being started: it may be usable in a moment. */
  readonly arriving: boolean;
  readonly labels: Readonly<Record<string, string>>;
  /** Workers of the model in question on this hive. */
  readonly workersOfModel: number;
  readonly workers: number;
}

/** Where a model may run. */
export interface PlacementRule {
  readonly hives: readonly string[] | null;
  readonly labels: Readonly<Record<string, string>>;
}

/** Whether a model may run on a hive at all, usable or not. */
export function mayRunOn(rule: PlacementRule, hive: Pick<PlacementHive, "hiveId" | "labels">): boolean {
  if (rule.hives !== null && !rule.hives.includes(hive.hiveId)) return false;
  return Object.entries(rule.labels).every(([name, value]) => hive.labels[name] === value);
}

/**
 * The hive for one more worker: workers of one model go to different hives first, then to the one with the fewest workers.
 * Null also while a hive arrives that would be a better place: a model's second worker waits for it, its first never does.
 */
export function placeWorker(rule: PlacementRule, hives: readonly PlacementHive[]): string | null {
  const allowed = hives.filter((hive) => mayRunOn(rule, hive));
  const best = allowed
    .filter((hive) => hive.usable)
    .sort((a, b) => a.workersOfModel - b.workersOfModel || a.workers - b.workers || compareText(a.hiveId, b.hiveId))[0];
  if (best === undefined) return null;
  return allowed.some((hive) => hive.arriving && hive.workersOfModel < best.workersOfModel) ? null : best.hiveId;
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
