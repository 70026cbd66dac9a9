import type { ExitCause, RestartPolicySpec } from "@queen-and-hive/protocol";

/** What is remembered of a worker's past, so that restarts can be judged; kept in the ledger. */
export interface RestartHistory {
  /** When restarts were decided, Unix time in ms, oldest first; never more than the breaker counts. */
  readonly restartsAtMs: readonly number[];
  /** Starts in a row that ended before the worker was ready. */
  readonly unreadyInARow: number;
  /** Ends since the worker was last stable: how far the back-off has grown. */
  readonly attempt: number;
}

/** One end of a worker that nobody asked for. */
export interface UnwantedEnd {
  readonly cause: ExitCause;
  /** When the worker was ready, Unix time in ms; null when it never was in this incarnation. */
  readonly readyAtMs: number | null;
  readonly endedAtMs: number;
  /** A number from 0 to 1 for the jitter. */
  readonly random: number;
}

/** What follows an end: a restart after a wait, or an open breaker with a quiet retry (Infinity: never). */
export interface RestartDecision {
  readonly history: RestartHistory;
  readonly verdict: "restart" | "open";
  readonly waitMs: number;
}

/** A worker without a past. */
export const NO_RESTARTS: RestartHistory = { restartsAtMs: [], unreadyInARow: 0, attempt: 0 };

/**
 * Decides what follows an end. A worker that was ready for the breaker's whole window is forgiven its past; one whose
 * cause cannot heal by itself, or whose breaker opens, is retried every `retry_open_every_s` only. A reboot of the
 * machine is nobody's fault and restarts at once.
 */
export function decideRestart(history: RestartHistory, policy: RestartPolicySpec, end: UnwantedEnd): RestartDecision {
  const windowMs = policy.breaker.window_s * 1_000;
  if (end.cause === "host_rebooted") return { history: NO_RESTARTS, verdict: "restart", waitMs: 0 };
  const wasStable = end.readyAtMs !== null && end.endedAtMs - end.readyAtMs >= windowMs;
  const past = wasStable ? NO_RESTARTS : history;
  const recent = past.restartsAtMs.filter((atMs) => end.endedAtMs - atMs < windowMs);
  const unreadyInARow = end.readyAtMs === null ? past.unreadyInARow + 1 : 0;
  const attempt = past.attempt + 1;
  const isOpen =
    cannotHeal(end.cause) || recent.length >= policy.breaker.restarts || unreadyInARow >= policy.breaker.unready_in_a_row;
  if (isOpen) {
    return {
      history: { restartsAtMs: recent, unreadyInARow, attempt },
      verdict: "open",
      waitMs: policy.retry_open_every_s === null ? Number.POSITIVE_INFINITY : policy.retry_open_every_s * 1_000,
    };
  }
  return {
    history: { restartsAtMs: [...recent, end.endedAtMs], unreadyInARow, attempt },
    verdict: "restart",
    waitMs: waitBefore(past.attempt, policy, end.random),
  };
}

/** Causes that stay until a person or the machine mends something: another start within seconds cannot help. */
function cannotHeal(cause: ExitCause): boolean {
  return (
    cause === "model_missing" ||
    cause === "model_invalid" ||
    cause === "runtime_missing" ||
    cause === "driver_not_up" ||
    cause === "illegal_instruction" ||
    cause === "bad_flag"
  );
}

function waitBefore(attempt: number, policy: RestartPolicySpec, random: number): number {
  const plainMs = Math.min(policy.max_s, policy.first_s * policy.factor ** attempt) * 1_000;
  return Math.max(0, Math.round(plainMs * (1 + policy.jitter * (2 * random - 1))));
}
