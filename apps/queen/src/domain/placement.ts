/** What is known of a hive when a worker has to be placed. */
export interface PlacementHive {
  readonly hiveId: string;
  readonly usable: boolean;
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

/** The hive for one more worker: workers of one model go to different hives first, then to the one with the fewest workers. */
export function placeWorker(rule: PlacementRule, hives: readonly PlacementHive[]): string | null {
  const candidates = hives.filter((hive) => hive.usable && mayRunOn(rule, hive));
  const best = candidates.sort(
    (a, b) => a.workersOfModel - b.workersOfModel || a.workers - b.workers || compareText(a.hiveId, b.hiveId),
  )[0];
  return best?.hiveId ?? null;
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
