/** What is known of a hive when a worker has to be placed. */
export interface PlacementHive {
  readonly hiveId: string;
  /** Its machine; several hives may share one. */
  readonly hostName: string;
  readonly usable: boolean;
  /** It is being started: it may be usable in a moment. */
  readonly arriving: boolean;
  readonly labels: Readonly<Record<string, string>>;
  /** Workers of the model in question on this hive. */
  readonly workersOfModel: number;
  readonly workers: number;
  /** Memory that is free on its devices, the freest first; null where it is not known. */
  readonly freeBytes: readonly number[] | null;
}

/** Where a model may run. */
export interface PlacementRule {
  readonly hives: readonly string[] | null;
  readonly labels: Readonly<Record<string, string>>;
}

/** What a worker needs of a hive. */
export interface PlacementNeeds {
  /** How many devices it is spread over; 0 counts as one. */
  readonly devices: number;
  /** On all of them together; null when only the hive can tell. */
  readonly memoryBytes: number | null;
}

/** Whether a model may run on a hive at all, usable or not. */
export function mayRunOn(rule: PlacementRule, hive: Pick<PlacementHive, "hiveId" | "labels">): boolean {
  if (rule.hives !== null && !rule.hives.includes(hive.hiveId)) return false;
  return Object.entries(rule.labels).every(([name, value]) => hive.labels[name] === value);
}

/**
 * The hive for one more worker. Workers of one model go to different hosts first, then to different hives; then to one where it fits, as far as is
 * known; then to the one with clearly more free memory, with fewer workers, and by name. The hive itself has the last word.
 * Null also while a hive arrives that would be a better place: a model's second worker waits for it, its first never does.
 */
export function placeWorker(rule: PlacementRule, hives: readonly PlacementHive[], needs: PlacementNeeds): string | null {
  const allowed = hives.filter((hive) => mayRunOn(rule, hive));
  const onHost = Map.groupBy(hives, ({ hostName }) => hostName);
  const compareSpread = (a: PlacementHive, b: PlacementHive): number =>
    workersOfModelOn(onHost.get(a.hostName)) - workersOfModelOn(onHost.get(b.hostName)) || a.workersOfModel - b.workersOfModel;
  const [best] = allowed
    .filter((hive) => hive.usable)
    .map((hive) => ({ hive, free: freeFor(hive, needs) }))
    .sort(
      (a, b) =>
        compareSpread(a.hive, b.hive) ||
        Number(fits(b.free, needs)) - Number(fits(a.free, needs)) ||
        magnitude(b.free) - magnitude(a.free) ||
        a.hive.workers - b.hive.workers ||
        compareText(a.hive.hiveId, b.hive.hiveId),
    );
  if (best === undefined) return null;
  const isBetter = (hive: PlacementHive): boolean => hive.arriving && compareSpread(hive, best.hive) < 0;
  return allowed.some(isBetter) ? null : best.hive.hiveId;
}

function workersOfModelOn(hives: readonly PlacementHive[] = []): number {
  return hives.reduce((sum, { workersOfModel }) => sum + workersOfModel, 0);
}

function freeFor({ freeBytes }: PlacementHive, { devices }: PlacementNeeds): number | null {
  if (freeBytes === null) return null;
  return freeBytes.slice(0, Math.max(1, devices)).reduce((sum, bytes) => sum + bytes, 0);
}

/** What is not known may fit. */
function fits(free: number | null, { memoryBytes }: PlacementNeeds): boolean {
  return free === null || memoryBytes === null || free >= memoryBytes;
}

/** Steps of about a fifth, so that a few pages more or less decide nothing. */
function magnitude(free: number | null): number {
  return free === null ? 0 : Math.round(Math.log2(1 + free / 1_073_741_824) * 4);
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
