import { type OomEvidence, type OomKills, oomEvidence, oomKillsIn } from "../domain/oom-kills.ts";
import { readBeginning } from "./read-beginning.ts";

/** Where the kernel counts the processes that it killed for lack of memory, of the whole machine. */
export const VMSTAT = "/proc/vmstat";

/**
 * What the kernel counted while a worker surely lived. What it counts afterwards may be about the worker's end; what it
 * counted long before that is not.
 */
export class OomWatch {
  #baseline: OomKills | null = null;
  #latest: OomKills | null = null;

  /** What an end is compared with. */
  get baseline(): OomKills | null {
    return this.#baseline;
  }

  /** The worker lives, and these are the counts. A large process takes seconds to end, so the look before this one counts. */
  lives(now: OomKills): void {
    this.#baseline = this.#latest ?? now;
    this.#latest = now;
  }

  /** Takes over what an earlier daemon had seen. */
  recall(baseline: OomKills | null): void {
    this.#baseline = baseline;
    this.#latest = baseline;
  }

  /** What the counts say about its end. */
  evidence(atEnd: OomKills): OomEvidence {
    return oomEvidence(this.#baseline, atEnd);
  }
}

/** The count in a file of the kernel, or in what a shim has kept of it; null when it does not say. */
export function readOomKills(path: string): number | null {
  try {
    return oomKillsIn(readBeginning(path, BYTES_MAX));
  } catch {
    return null;
  }
}

/** Five times of what Linux 6.18 says in /proc/vmstat. */
const BYTES_MAX = 32_768;
