/** How waits between attempts grow. */
export interface BackoffPolicy {
  readonly firstMs: number;
  readonly factor: number;
  readonly maxMs: number;
  /** Share by which a wait varies in both directions: 0.2 is +-20 %. Many peers then do not come back in step. */
  readonly jitter: number;
}

/** The wait before attempt `attempt + 2`: attempt 0 has just failed for the first time. Never more than `maxMs`. */
export function backoffMs(attempt: number, policy: BackoffPolicy, random: () => number): number {
  const plain = Math.min(policy.maxMs, policy.firstMs * policy.factor ** Math.max(0, attempt));
  return Math.min(policy.maxMs, Math.max(0, plain * (1 + policy.jitter * (2 * random() - 1))));
}
