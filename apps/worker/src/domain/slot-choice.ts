/** What a free slot remembers, in tokens. */
export interface SlotMemory {
  readonly held: number;
  /** How many of them the new prompt begins with, too. */
  readonly shared: number;
}

/**
 * The slot for a prompt, given the free ones, the longest unused first. A chat comes back to its own slot: the one that
 * shares most of what it holds. What every chat begins with does not make a slot its own, so a new chat gets an empty slot,
 * else the longest unused one, and pushes no other chat out that still has a place. Null when there is none.
 */
export function chooseSlot<Slot extends SlotMemory>(free: readonly Slot[]): Slot | null {
  let own: Slot | null = null;
  for (const slot of free) {
    const isOwn = slot.shared > 0 && slot.shared * 2 >= slot.held;
    if (isOwn && slot.shared > (own?.shared ?? 0)) own = slot;
  }
  return own ?? free.find((slot) => slot.held === 0) ?? free[0] ?? null;
}
