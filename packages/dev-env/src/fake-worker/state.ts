import type { FakeWorkerOptions } from "./options.ts";
import type { Slots } from "./slots.ts";
import type { Statistics } from "./statistics.ts";

/** What the routes of one fake worker share. */
export interface FakeWorkerState {
  readonly options: FakeWorkerOptions;
  readonly statistics: Statistics;
  readonly slots: Slots;
  /** How far loading has come, 0 to 1. */
  progress: number;
}
