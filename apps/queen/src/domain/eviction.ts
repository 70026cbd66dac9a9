/** A worker whose memory another model could have. Ages in milliseconds. */
export interface Resident {
  readonly workerId: string;
  /** Not ready yet: it may go once it was, and not before. */
  readonly coming: boolean;
  readonly inFlight: number;
  /** Requests that wait for its model. */
  readonly waiting: number;
  /** Never evicted: its model is pinned, or it is one of the workers that its model always has. */
  readonly kept: boolean;
  /** So long it has got no more requests, since its turn is over; null: it gets them. 0: it will get none again. */
  readonly yieldingForMs: number | null;
  readonly readyForMs: number;
  /** Since it gave back its last request. */
  readonly idleForMs: number;
  /** What its end gives back, on all its devices together; null when that is not known: then it counts as enough. */
  readonly memoryBytes: number | null;
  /** The devices that it has; none when that is not known: then it counts on every one. */
  readonly devices: readonly string[];
}

/** The bounds that keep two models on one device from thrashing; milliseconds. */
export interface EvictionRules {
  /** A model that was loaded stays at least this long. */
  readonly minResidentMs: number;
  /**
   * One that is used all the time stays this long after it was loaded, and after another has begun to wait. One whose last
   * requests take longer than this is given requests again, for another turn.
   */
  readonly turnMs: number;
}

/** The memory that a hive lacks for a worker. */
export interface MissingMemory {
  /** How many devices the worker is spread over. */
  readonly devices: number;
  /** How much is missing on each that could be among them; a device without a name stands for whichever it is. */
  readonly onEach: readonly { readonly device: string | null; readonly bytes: number }[];
}

/** A model that waits for memory. */
export interface Contender {
  /** Since it has come, or since others were last given another turn although it waits. */
  readonly waitedMs: number;
  /** Null when that is not known: then one worker at a time is tried. */
  readonly missing: MissingMemory | null;
}

/** What to do for a contender: stop idle workers, take busy ones out of rotation or back into it, look again later, or give up. */
export type EvictionPlan =
  | { readonly kind: "evict"; readonly workerIds: readonly string[] }
  | { readonly kind: "yield"; readonly workerIds: readonly string[] }
  | { readonly kind: "relent"; readonly workerIds: readonly string[] }
  | { readonly kind: "wait"; readonly forMs: number }
  | { readonly kind: "hopeless" };

/**
 * Whose memory a contender gets. Idle workers go first, the least recently used before others, and only as many as are
 * needed, on devices where it is. A worker that is busy, or waited for, is never stopped: once its turn is over it yields, and
 * goes when it is idle. Where its last requests do not end for a whole turn, it serves on for another: one endless stream must
 * not take the device from everybody. Nothing is stopped while what may be stopped does not add up to what is missing.
 */
export function planEviction(residents: readonly Resident[], contender: Contender, rules: EvictionRules): EvictionPlan {
  const candidates = residents
    .filter((resident) => !resident.kept)
    .map((resident) => ({ resident, inMs: mayGoInMs(resident, contender, rules) }))
    .sort(
      (one, other) => (one.inMs === other.inMs ? 0 : one.inMs - other.inMs) || other.resident.idleForMs - one.resident.idleForMs,
    );
  const chosen = enough(candidates, contender.missing);
  if (chosen === null) return { kind: "hopeless" };
  const latestMs = Math.max(...chosen.map(({ inMs }) => inMs));
  if (latestMs > 0) return { kind: "wait", forMs: latestMs };
  const busy = chosen.filter(
    ({ resident }) => resident.inFlight > 0 || (resident.waiting > 0 && resident.yieldingForMs === null),
  );
  if (busy.length === 0) return { kind: "evict", workerIds: chosen.map(({ resident }) => resident.workerId) };
  const toYield = chosen.filter(({ resident }) => resident.yieldingForMs === null);
  if (toYield.length === 0) return untilDone(chosen, rules);
  return { kind: "yield", workerIds: toYield.map(({ resident }) => resident.workerId) };
}

/** All have yielded and one is not done: its last request ends the wait, or a whole turn does. */
function untilDone(chosen: readonly Candidate[], { turnMs }: EvictionRules): EvictionPlan {
  const leftMs = turnMs - Math.max(...chosen.map(({ resident }) => resident.yieldingForMs ?? 0));
  if (leftMs > 0) return { kind: "wait", forMs: leftMs };
  return { kind: "relent", workerIds: chosen.map(({ resident }) => resident.workerId) };
}

interface Candidate {
  readonly resident: Resident;
  readonly inMs: number;
}

function mayGoInMs(resident: Resident, contender: Contender, rules: EvictionRules): number {
  if (resident.coming) return Number.POSITIVE_INFINITY;
  if (resident.yieldingForMs !== null) return 0;
  const isUsed = resident.inFlight > 0 || resident.waiting > 0;
  if (!isUsed) return Math.max(0, rules.minResidentMs - resident.readyForMs);
  return Math.max(0, rules.turnMs - resident.readyForMs, rules.turnMs - contender.waitedMs);
}

/** The first candidates that add up, less those that turn out not to be needed; null when all together do not. */
function enough(candidates: readonly Candidate[], missing: MissingMemory | null): readonly Candidate[] | null {
  if (missing === null) return candidates.length === 0 ? null : candidates.slice(0, 1);
  const chosen: Candidate[] = [];
  for (const candidate of candidates) {
    chosen.push(candidate);
    if (addUp(chosen, missing)) break;
  }
  if (!addUp(chosen, missing)) return null;
  for (const candidate of [...chosen]) {
    const rest = chosen.filter((other) => other !== candidate);
    if (addUp(rest, missing)) chosen.splice(chosen.indexOf(candidate), 1);
  }
  return chosen;
}

/** Whether they give back what is missing, on as many devices as are wanted. */
function addUp(candidates: readonly Candidate[], { devices, onEach }: MissingMemory): boolean {
  const enough = onEach.filter(({ device, bytes }) => bytesOn(device, candidates) >= bytes);
  return candidates.length > 0 && enough.length >= devices;
}

function bytesOn(device: string | null, candidates: readonly Candidate[]): number {
  return candidates.reduce((sum, { resident }) => {
    const bytes = resident.memoryBytes ?? Number.POSITIVE_INFINITY;
    if (device === null || resident.devices.length === 0) return sum + bytes;
    return resident.devices.includes(device) ? sum + bytes / resident.devices.length : sum;
  }, 0);
}

/** A ready worker that may be stopped for being idle. Ages in milliseconds. */
export interface IdleWorker {
  readonly workerId: string;
  readonly inFlight: number;
  readonly waiting: number;
  readonly idleForMs: number;
}

/**
 * Which of a model's ready workers have been idle for too long, the longest idle first, when so many have to stay; and in
 * how many milliseconds the next may be (Infinity: none).
 */
export function planIdleStop(
  workers: readonly IdleWorker[],
  idleStopMs: number,
  keep: number,
): { readonly stop: readonly string[]; readonly nextInMs: number } {
  const idle = workers
    .filter((worker) => worker.inFlight === 0 && worker.waiting === 0)
    .sort((one, other) => other.idleForMs - one.idleForMs)
    .slice(0, Math.max(0, workers.length - keep));
  const due = idle.filter((worker) => worker.idleForMs >= idleStopMs);
  const next = idle[due.length];
  return {
    stop: due.map((worker) => worker.workerId),
    nextInMs: next === undefined ? Number.POSITIVE_INFINITY : idleStopMs - next.idleForMs,
  };
}
