import { setImmediate as afterPoll, setTimeout as afterTimer } from "node:timers/promises";
import type { Clock } from "@queen-and-hive/daemon";

/** Of a stall of our process, however long, no more than this counts as time that a peer had, milliseconds. */
const COUNTED_STALL_MS_MAX = 250;
/** A wait is cut into at least so many parts, so that a stall cannot be most of a short one. */
const PARTS_MIN = 4;

/**
 * Calls `run` once after `ms` in which we were awake to hear a peer; disposing cancels it. The time of a wait that others
 * are judged by is counted in small parts: while our own process was stalled, they had no chance to be heard.
 */
export function afterAwake(clock: Clock, ms: number, run: () => void): Disposable {
  let part: Disposable;
  const wait = (restMs: number): void => {
    const partMs = Math.min(restMs, COUNTED_STALL_MS_MAX, ms / PARTS_MIN);
    part = clock.after(partMs, () => (restMs <= partMs ? run() : wait(restMs - partMs)));
  };
  if (Number.isFinite(ms)) wait(ms);
  else part = clock.after(ms, run);
  return { [Symbol.dispose]: () => part[Symbol.dispose]() };
}

/**
 * Whether a peer is still silent once we have read what already lies in our sockets. After a stall of our own process the
 * timer of a deadline runs before the sockets are read, and every healthy peer looks dead; one poll phase and a timer of
 * 0 ms later the news have been read.
 */
export async function stillSilentAfterStallCheck(isSilent: () => boolean): Promise<boolean> {
  await afterPoll();
  await afterTimer(0);
  await afterPoll();
  return isSilent();
}
