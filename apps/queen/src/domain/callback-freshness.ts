/** Where a message of a hive stands in the order of that hive's messages. */
export interface MessagePosition {
  readonly epoch: number;
  readonly sequence: number;
}

/** What is remembered of a worker to judge a message about it. */
export interface WorkerMemory {
  /** The last message that took effect, or null before the first. */
  readonly last: MessagePosition | null;
  /** The newest incarnation that we have heard of. */
  readonly incarnation: number;
  /** The newest incarnation whose end was reported; 0 before the first. */
  readonly exitedIncarnation: number;
  /** Whether the newest incarnation is ready. */
  readonly ready: boolean;
}

/** What to do with a message: apply it, answer that it changes nothing, or refuse it as stale. */
export type Freshness =
  | { readonly verdict: "apply" }
  | { readonly verdict: "repeated" }
  | { readonly verdict: "refuse"; readonly kind: "stale_epoch" | "stale_sequence" | "stale_incarnation" };

/**
 * Whether a message is older than, the same as, or newer than the last one that took effect. Epochs come first, since a
 * hive's sequence only grows within one state directory.
 */
export function judgePosition(last: MessagePosition | null, message: MessagePosition): Freshness {
  if (last === null || message.epoch > last.epoch) return { verdict: "apply" };
  if (message.epoch < last.epoch) return { verdict: "refuse", kind: "stale_epoch" };
  if (message.sequence === last.sequence) return { verdict: "repeated" };
  return message.sequence > last.sequence ? { verdict: "apply" } : { verdict: "refuse", kind: "stale_sequence" };
}

/** Judges a ready message: it takes effect once per incarnation, and never after that incarnation's end. */
export function judgeReady(memory: WorkerMemory, message: MessagePosition & { readonly incarnation: number }): Freshness {
  const position = judgePosition(memory.last, message);
  if (position.verdict !== "apply") return position;
  if (message.incarnation < memory.incarnation || message.incarnation <= memory.exitedIncarnation) {
    return { verdict: "refuse", kind: "stale_incarnation" };
  }
  return message.incarnation === memory.incarnation && memory.ready ? { verdict: "repeated" } : { verdict: "apply" };
}

/**
 * Judges an exit message: the end of each incarnation is recorded once, also when the event stream has already told of the
 * next incarnation (the caller then records the end and changes nothing else).
 */
export function judgeExited(memory: WorkerMemory, message: MessagePosition & { readonly incarnation: number }): Freshness {
  const position = judgePosition(memory.last, message);
  if (position.verdict !== "apply") return position;
  if (message.incarnation === memory.exitedIncarnation) return { verdict: "repeated" };
  return message.incarnation < memory.exitedIncarnation ? { verdict: "refuse", kind: "stale_incarnation" } : { verdict: "apply" };
}
