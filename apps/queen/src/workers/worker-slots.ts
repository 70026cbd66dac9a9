import type { ModelSettings } from "../config/settings.ts";

/** Slots of a worker whose engine does not say how many it has and whose model sets none: engines queue what is too much. */
const SLOTS_UNKNOWN = 8;

/** How many requests a worker of a model may get at once, given what its engine said; the model's number is only a limit. */
export function slotsOf(model: ModelSettings | undefined, said: number | null): number {
  if (model === undefined || model.slots === "auto") return said ?? SLOTS_UNKNOWN;
  return said === null ? model.slots : Math.min(model.slots, said);
}
