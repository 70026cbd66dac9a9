import type { ModelSettings } from "../config/settings.ts";
import type { MissingMemory } from "../domain/eviction.ts";

/** What a hive without room has said. */
export interface Refusal {
  /** Null when it did not say, or was not asked since others were there first. */
  readonly missing: MissingMemory | null;
  readonly asked: boolean;
  /** Workers of other models that it had then: once there are fewer it is asked again. */
  readonly others: number;
  readonly atMs: number;
}

/** A model that has no worker for lack of memory. */
export interface Claim {
  readonly model: ModelSettings;
  /** Since it waits, or since others were given another turn although it does; monotonic milliseconds. */
  sinceMs: number;
  readonly refusals: Map<string, Refusal>;
  /** Workers that get no more requests, so that it has its turn, and since when. */
  readonly yielding: Map<string, number>;
  /** Workers are being stopped for it, or their memory is on its way back. */
  busy: boolean;
  evictedOn: { readonly hiveId: string; readonly atMs: number } | null;
}

/** Whether a newcomer is known to need less than the model of a claim does. */
export function isSmaller(newcomer: ModelSettings, { model }: Claim): boolean {
  const [own, other] = [newcomer.spec.needs?.memory_bytes, model.spec.needs?.memory_bytes];
  return typeof own === "number" && typeof other === "number" && own < other;
}
