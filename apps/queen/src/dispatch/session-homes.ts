/** Which worker knows the prompt of a conversation, for the conversations that were heard of last. */
export class SessionHomes {
  readonly #keptMax: number;
  /** Conversation -> incarnation of a worker; the longest unheard of comes first. */
  readonly #homes = new Map<number, string>();
  readonly #counts = new Map<string, number>();

  /** `keptMax` is how many conversations are remembered; 0 remembers none. */
  constructor(keptMax: number) {
    this.#keptMax = keptMax;
  }

  /** The worker that served a conversation last, or null. */
  of(session: number): string | null {
    return this.#homes.get(session) ?? null;
  }

  /** How many conversations have their home at a worker. */
  count(worker: string): number {
    return this.#counts.get(worker) ?? 0;
  }

  /** A worker serves a conversation now: its home is there from now on. */
  settle(session: number, worker: string): void {
    this.#forget(session);
    if (this.#keptMax === 0) return;
    this.#homes.set(session, worker);
    this.#counts.set(worker, this.count(worker) + 1);
    for (const oldest of this.#homes.keys()) {
      if (this.#homes.size <= this.#keptMax) break;
      this.#forget(oldest);
    }
  }

  #forget(session: number): void {
    const worker = this.#homes.get(session);
    if (worker === undefined) return;
    this.#homes.delete(session);
    const rest = this.count(worker) - 1;
    if (rest > 0) this.#counts.set(worker, rest);
    else this.#counts.delete(worker);
  }
}
