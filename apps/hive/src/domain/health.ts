/** One look at a worker that was ready. Times are monotonic, in ms. */
export interface HealthLook {
  readonly atMs: number;
  /** Whether it answered as a worker that can serve. */
  readonly serves: boolean;
  /** Whether its processes did work since the look before: CPU time, output, device. */
  readonly progresses: boolean;
}

/** What is remembered between two looks. */
export interface HealthVigil {
  readonly lastLookAtMs: number;
  /** For how long it has neither served nor made progress. */
  readonly silentMs: number;
  readonly isHung: boolean;
}

/** How long a worker may be silent; Infinity: for ever. */
export interface HealthLimits {
  /** Until it is no longer ready. */
  readonly hungAfterMs: number;
  /** From then on until it is replaced. */
  readonly replaceAfterMs: number;
  /** What lies between two looks at most; more was a stall of our own and says nothing about the worker. */
  readonly gapMsMax: number;
}

/** What a look changes: nothing, no longer ready, ready again, to be replaced. */
export type HealthVerdict = "unchanged" | "mute" | "answers" | "replace";

/** Begins to watch; an adopted worker may be hung already. */
export function beginHealthVigil(atMs: number, isHung: boolean): HealthVigil {
  return { lastLookAtMs: atMs, silentMs: 0, isHung };
}

/** Judges one more look. A worker that makes progress is busy, however long it does not answer. */
export function judgeHealth(
  vigil: HealthVigil,
  look: HealthLook,
  limits: HealthLimits,
): { readonly vigil: HealthVigil; readonly verdict: HealthVerdict } {
  const lastLookAtMs = look.atMs;
  if (look.serves || look.progresses) {
    return { vigil: { lastLookAtMs, silentMs: 0, isHung: false }, verdict: vigil.isHung ? "answers" : "unchanged" };
  }
  const silentMs = vigil.silentMs + Math.min(look.atMs - vigil.lastLookAtMs, limits.gapMsMax);
  if (!vigil.isHung && silentMs >= limits.hungAfterMs) {
    return { vigil: { lastLookAtMs, silentMs: 0, isHung: true }, verdict: "mute" };
  }
  const isOver = vigil.isHung && silentMs >= limits.replaceAfterMs;
  return { vigil: { lastLookAtMs, silentMs, isHung: vigil.isHung }, verdict: isOver ? "replace" : "unchanged" };
}

/** A share of one core below which CPU time is no progress: an idle event loop ticks too. */
export const CPU_SIGN_RATIO = 0.03;
