import { QhError } from "@queen-and-hive/protocol";

/** What one try to deliver a message led to. */
export type DeliveryOutcome =
  | { readonly kind: "delivered" }
  /** 409, 410: the queen knows better; the message is of no use any more. */
  | { readonly kind: "stale"; readonly reason: string }
  /** 401, 403: the queen does not know our token; a person or `hive start` must mend that, so the message is kept. */
  | { readonly kind: "unwelcome"; readonly reason: string }
  /** Any other 4xx: probably never to be accepted. */
  | { readonly kind: "refused"; readonly reason: string }
  /** 5xx, no answer, nonsense: later. */
  | { readonly kind: "failed"; readonly reason: string };

/** A thrown failure of the call -> its outcome. Bugs are thrown on. */
export function outcomeOfError(error: unknown): DeliveryOutcome {
  if (!(error instanceof QhError)) throw error;
  const reason = `${error.kind}: ${error.message}`;
  const answered = error.details?.["status"];
  const status = typeof answered === "number" ? answered : null;
  if (status === null || status < 400 || status >= 500) return { kind: "failed", reason };
  switch (status) {
    case 409:
    case 410:
      return { kind: "stale", reason };
    case 401:
    case 403:
      return { kind: "unwelcome", reason };
    case 408:
    case 429:
      return { kind: "failed", reason };
    default:
      return { kind: "refused", reason };
  }
}
