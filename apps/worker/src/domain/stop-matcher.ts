/** What a StopMatcher says about a piece of text: what may be shown now, and whether a stop sequence was met. */
export interface StopMatch {
  readonly text: string;
  readonly stopped: boolean;
}

/**
 * Finds stop sequences in text that arrives in pieces. Text that could be the beginning of a stop sequence is held back
 * until it is known not to be; the sequence itself and what follows it are never shown.
 */
export class StopMatcher {
  readonly #stops: readonly string[];
  #held = "";
  #stopped = false;

  /** Empty sequences are ignored. */
  constructor(stops: readonly string[]) {
    this.#stops = stops.filter((stop) => stop !== "");
  }

  /** Takes the next piece; after a stop was met everything is swallowed. */
  push(piece: string): StopMatch {
    if (this.#stopped) return { text: "", stopped: true };
    const text = this.#held + piece;
    const at = firstStopIndex(text, this.#stops);
    if (at !== null) {
      this.#stopped = true;
      this.#held = "";
      return { text: text.slice(0, at), stopped: true };
    }
    const heldLength = longestStopBeginning(text, this.#stops);
    this.#held = text.slice(text.length - heldLength);
    return { text: text.slice(0, text.length - heldLength), stopped: false };
  }

  /** The text that was held back, once it is certain that nothing follows. */
  flush(): string {
    const rest = this.#held;
    this.#held = "";
    return rest;
  }
}

function firstStopIndex(text: string, stops: readonly string[]): number | null {
  let first: number | null = null;
  for (const stop of stops) {
    const at = text.indexOf(stop);
    if (at !== -1 && (first === null || at < first)) first = at;
  }
  return first;
}

function longestStopBeginning(text: string, stops: readonly string[]): number {
  let longest = 0;
  for (const stop of stops) {
    const most = Math.min(stop.length - 1, text.length);
    for (let length = most; length > longest; length -= 1) {
      if (text.endsWith(stop.slice(0, length))) {
        longest = length;
        break;
      }
    }
  }
  return longest;
}
