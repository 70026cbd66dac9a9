import { type Clock, Deadline } from "@queen-and-hive/daemon";
import type { FoundProcess } from "./find-ours.ts";

/** What came of looks for processes. */
export type FoundInTime = { readonly found: readonly FoundProcess[] } | { readonly error: unknown };

/**
 * Looks for processes, again and again for a moment while looking fails, as where too many files are open: whoever starts
 * must not end because of it. The last error when the time is over.
 */
export async function findInTime(find: () => readonly FoundProcess[], forMs: number, clock: Clock): Promise<FoundInTime> {
  const deadline = Deadline.in(forMs, clock);
  while (true) {
    try {
      return { found: find() };
    } catch (error) {
      if (deadline.expired) return { error };
    }
    await clock.sleep(Math.min(PAUSE_MS, deadline.remainingMs()));
  }
}

const PAUSE_MS = 50;
