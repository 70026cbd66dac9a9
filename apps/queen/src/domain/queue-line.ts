/** What the line needs to know of who stands in it. */
export interface Waiter {
  /** Unique; grows with the arrival. */
  readonly sequence: number;
  /** Whose request it is: clients take turns. */
  readonly client: string;
}

/**
 * A line in which clients take turns (round robin): whoever sends a hundred requests waits for itself and not others for
 * it. Each client's own requests keep the order of their arrival.
 */
export class FairLine<Entry extends Waiter> {
  /** Clients in the order of their turns, each with its requests in the order of their arrival. */
  readonly #turns = new Map<string, Entry[]>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Joins the line; a request that was there before (it is tried again) gets its place back, and its client the next turn. */
  join(entry: Entry, isReturning: boolean): void {
    const own = this.#turns.get(entry.client);
    if (own === undefined) this.#turns.set(entry.client, [entry]);
    else own.splice(indexAfterEarlier(own, entry.sequence), 0, entry);
    this.#size += 1;
    if (isReturning) this.#putFirst(entry.client);
  }

  /** Leaves the line unserved: the client's turn stays where it is. False: it was not there. */
  leave(entry: Entry): boolean {
    const own = this.#turns.get(entry.client);
    const index = own?.indexOf(entry) ?? -1;
    if (own === undefined || index < 0) return false;
    own.splice(index, 1);
    if (own.length === 0) this.#turns.delete(entry.client);
    this.#size -= 1;
    return true;
  }

  /** Leaves the line served: its client's next turn comes after everybody else's. */
  served(entry: Entry): void {
    if (!this.leave(entry)) return;
    const rest = this.#turns.get(entry.client);
    if (rest === undefined) return;
    this.#turns.delete(entry.client);
    this.#turns.set(entry.client, rest);
  }

  has(entry: Entry): boolean {
    return this.#turns.get(entry.client)?.includes(entry) ?? false;
  }

  /** Everybody, in the order in which they would be served now. */
  inOrder(): readonly Entry[] {
    const lines = [...this.#turns.values()];
    if (lines.length <= 1) return [...(lines[0] ?? [])];
    const order: Entry[] = [];
    for (let round = 0; order.length < this.#size; round += 1) {
      for (const own of lines) {
        const entry = own[round];
        if (entry !== undefined) order.push(entry);
      }
    }
    return order;
  }

  /** How many will be served before this one; null when it is not in the line. */
  ahead(entry: Entry): number | null {
    const round = this.#turns.get(entry.client)?.indexOf(entry) ?? -1;
    if (round < 0) return null;
    let count = 0;
    let isBefore = true;
    for (const [client, own] of this.#turns) {
      if (client === entry.client) isBefore = false;
      count += Math.min(own.length, isBefore ? round + 1 : round);
    }
    return count;
  }

  /**
   * Who has to go when the line is too long: the newest of the client that has most in it, so that no client can fill the
   * line for all; the newcomer itself when its client has as many as any.
   */
  pushedOutBy(newcomer: Entry): Entry {
    let longest = this.#turns.get(newcomer.client) ?? [newcomer];
    for (const own of this.#turns.values()) if (own.length > longest.length) longest = own;
    return longest.includes(newcomer) ? newcomer : (longest.at(-1) ?? newcomer);
  }

  #putFirst(client: string): void {
    const others = [...this.#turns].filter(([other]) => other !== client);
    const own = this.#turns.get(client) ?? [];
    this.#turns.clear();
    this.#turns.set(client, own);
    for (const [other, line] of others) this.#turns.set(other, line);
  }
}

function indexAfterEarlier(line: readonly Waiter[], sequence: number): number {
  let index = line.length;
  while (index > 0 && (line[index - 1]?.sequence ?? 0) > sequence) index -= 1;
  return index;
}
