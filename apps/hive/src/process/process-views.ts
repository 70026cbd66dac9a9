import type { Clock } from "@queen-and-hive/daemon";
import { type FoundProcess, findOurs, type KnownProcesses, type OurMarks } from "./find-ours.ts";
import { readOomKills } from "./oom-watch.ts";
import { type ProcessTable, readProcessTable } from "./process-table.ts";

/**
 * Looks at the machine's processes that many workers share: reading all of /proc costs milliseconds, and 50 workers that are
 * adopted or stopped at the same moment would each read it for themselves.
 */
export class ProcessViews {
  readonly #clock: Clock;
  readonly #marks: () => OurMarks;
  readonly #known: () => ReadonlyMap<string, KnownProcesses>;
  #table: { readonly atMs: number; readonly table: ProcessTable } | null = null;
  #oomKills: { readonly atMs: number; readonly count: number | null } | null = null;
  #ours: { readonly atMs: number; readonly found: readonly FoundProcess[] } | null = null;

  constructor(clock: Clock, marks: () => OurMarks, known: () => ReadonlyMap<string, KnownProcesses>) {
    this.#clock = clock;
    this.#marks = marks;
    this.#known = known;
  }

  /** All processes as they were at most so long ago. */
  table(ageMsMax: number): ProcessTable {
    const nowMs = this.#clock.monotonicMs();
    if (this.#table === null || nowMs - this.#table.atMs > ageMsMax) this.#table = { atMs: nowMs, table: readProcessTable() };
    return this.#table.table;
  }

  /** What a file of the kernel counts of kills for lack of memory on the whole machine, as a moment ago: for those that live. */
  oomKills(path: string): number | null {
    const nowMs = this.#clock.monotonicMs();
    if (this.#oomKills === null || nowMs - this.#oomKills.atMs > OOM_KILLS_AGE_MS_MAX) {
      this.#oomKills = { atMs: nowMs, count: readOomKills(path) };
    }
    return this.#oomKills.count;
  }

  /**
   * The live processes of one worker, as they were a moment ago. What is not there then can have started nothing since, so
   * this proves an end as well as a look of one's own.
   */
  oursOf(workerId: string): readonly FoundProcess[] {
    const nowMs = this.#clock.monotonicMs();
    if (this.#ours === null || nowMs - this.#ours.atMs > OURS_AGE_MS_MAX) {
      this.#ours = { atMs: nowMs, found: findOurs(this.#marks(), this.#known()) };
    }
    return this.#ours.found.filter((found) => found.workerId === workerId);
  }
}

const OURS_AGE_MS_MAX = 10;
/** One look at all workers is shorter, and the next one much later. */
const OOM_KILLS_AGE_MS_MAX = 100;
