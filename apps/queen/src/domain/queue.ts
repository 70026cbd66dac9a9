/** What a waiting request waits for: a free slot of a ready worker, or a model that is still loading. */
export type WaitMode = "slot" | "load";

/** Time that was spent waiting, in milliseconds, by what was waited for. */
export interface Waited {
  readonly slotMs: number;
  readonly loadMs: number;
}

/** How long a request may wait for each, in milliseconds; Infinity is for ever. */
export interface WaitLimits {
  readonly maxWaitMs: number;
  readonly loadWaitMs: number;
}

/**
 * The two clocks of one model's queue. Only the one of the present mode runs, so that a request which waited ten
 * minutes for its model to load is not too old for a slot a second later.
 */
export interface QueueClock {
  readonly mode: WaitMode;
  /** When the present mode began. */
  readonly sinceMs: number;
  /** The sums of all earlier modes. */
  readonly before: Waited;
}

/** A clock that starts now. */
export function startQueueClock(mode: WaitMode, nowMs: number): QueueClock {
  return { mode, sinceMs: nowMs, before: { slotMs: 0, loadMs: 0 } };
}

/** The clock after the queue has begun to wait for something else (or still waits for the same). */
export function switchQueueClock(clock: QueueClock, mode: WaitMode, nowMs: number): QueueClock {
  return mode === clock.mode ? clock : { mode, sinceMs: nowMs, before: readQueueClock(clock, nowMs) };
}

/** What both clocks show now. */
export function readQueueClock(clock: QueueClock, nowMs: number): Waited {
  const runningMs = Math.max(0, nowMs - clock.sinceMs);
  return clock.mode === "slot"
    ? { slotMs: clock.before.slotMs + runningMs, loadMs: clock.before.loadMs }
    : { slotMs: clock.before.slotMs, loadMs: clock.before.loadMs + runningMs };
}

/** What a request has waited that came when the clocks showed `entry`. */
export function waitedSince(entry: Waited, now: Waited): Waited {
  return { slotMs: now.slotMs - entry.slotMs, loadMs: now.loadMs - entry.loadMs };
}

/** Milliseconds until a request that has waited so long is too old, if the mode stays; 0 or less when it already is. */
export function remainingWaitMs(waited: Waited, mode: WaitMode, limits: WaitLimits): number {
  return mode === "slot" ? limits.maxWaitMs - waited.slotMs : limits.loadWaitMs - waited.loadMs;
}

/** What the advice on when to come back is computed from. */
export interface QueueLoad {
  readonly waiting: number;
  /** Slots of all ready workers. */
  readonly slots: number;
  /** What a request took lately, in milliseconds; 0 when none has ended yet. */
  readonly serviceMs: number;
}

const RETRY_AFTER_MAX_S = 60;
/** Said while no worker is ready: how long the model still loads is not known. */
const RETRY_AFTER_LOADING_S = 10;

/** `Retry-After` in whole seconds: when a full queue should have drained by half, between 1 and 60. */
export function retryAfterS(load: QueueLoad): number {
  if (load.slots === 0) return RETRY_AFTER_LOADING_S;
  const drainS = (load.waiting / 2 / load.slots) * (load.serviceMs / 1_000);
  return Math.min(RETRY_AFTER_MAX_S, Math.max(1, Math.ceil(drainS)));
}

/**
 * How long a request with so many ahead of it will wait for a slot, in milliseconds: slots become free one after another,
 * each after the time that a request took lately. Null when that is not known, or when nobody serves.
 */
export function estimatedWaitMs(ahead: number, load: Pick<QueueLoad, "slots" | "serviceMs">): number | null {
  return load.slots === 0 || load.serviceMs === 0 ? null : ((ahead + 1) * load.serviceMs) / load.slots;
}

/** The moving average of service times after one more: a fifth of its weight is the newest. */
export function nextServiceMs(averageMs: number, newestMs: number): number {
  return averageMs === 0 ? newestMs : averageMs * 0.8 + newestMs * 0.2;
}
