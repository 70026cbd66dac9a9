/** When a hive was lost: the first finding that it is mute or that its host is out of reach, milliseconds of one scale. */
export interface HiveLoss {
  readonly hiveId: string;
  /** Null while it is not lost. A crash that was proven is no loss in this sense: its cause is known. */
  readonly lostAtMs: number | null;
}

/** Limits of the guard, from `health.mass_loss`. */
export interface MassLossPolicy {
  /** Fewer hives than this say nothing about ourselves. */
  readonly hivesMin: number;
  /** How close together the losses have to be, milliseconds. */
  readonly windowMs: number;
  /** How long after a wave of losses it still says something about ourselves: by then they are believed. Milliseconds. */
  readonly holdMs: number;
}

/**
 * Whether so many hives were lost together that the one who is ill is more likely us: more than half of at least `hivesMin`,
 * within one window. It holds until half of them are back, or until `holdMs` after the wave: hosts that stay off must not keep
 * the others from being looked after. Nothing of a hive is ended, and no worker replaced, meanwhile.
 */
export function isMassLoss(hives: readonly HiveLoss[], policy: MassLossPolicy, nowMs: number): boolean {
  if (hives.length < policy.hivesMin) return false;
  const most = Math.floor(hives.length / 2) + 1;
  const lost = hives.flatMap(({ lostAtMs }) => lostAtMs ?? []).sort((a, b) => a - b);
  return lost.some((atMs, index) => {
    const first = lost[index - most + 1];
    return first !== undefined && atMs - first <= policy.windowMs && nowMs - atMs < policy.holdMs;
  });
}
