/** One thing in a `LinkedList`; its disposal takes it out, once. */
export class LinkedEntry<T> implements Disposable {
  readonly #list: LinkedList<T>;
  readonly value: T;
  /** The list's own. */
  previous: LinkedEntry<T> | null;
  next: LinkedEntry<T> | null = null;
  isIn = true;

  constructor(list: LinkedList<T>, value: T, previous: LinkedEntry<T> | null) {
    this.#list = list;
    this.value = value;
    this.previous = previous;
  }

  [Symbol.dispose](): void {
    this.#list.remove(this);
  }
}

/**
 * Things that come and go by the thousand, in the order of their coming. What has left points to nothing that came later. In
 * V8 that is not so for the outgrown tables of a `Set` or `Map`, nor for the listeners of an `AbortSignal`: a single one that
 * has reached the old generation keeps everything after it from being collected while it is young.
 */
export class LinkedList<T> {
  #first: LinkedEntry<T> | null = null;
  #last: LinkedEntry<T> | null = null;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** The one that came first, or null. */
  get first(): LinkedEntry<T> | null {
    return this.#first;
  }

  /** Puts something behind the others. */
  add(value: T): LinkedEntry<T> {
    const entry = new LinkedEntry(this, value, this.#last);
    if (this.#last === null) this.#first = entry;
    else this.#last.next = entry;
    this.#last = entry;
    this.#size += 1;
    return entry;
  }

  /** Takes an entry of this list out, unless it is out already. */
  remove(entry: LinkedEntry<T>): void {
    if (!entry.isIn) return;
    entry.isIn = false;
    if (entry.previous === null) this.#first = entry.next;
    else entry.previous.next = entry.next;
    if (entry.next === null) this.#last = entry.previous;
    else entry.next.previous = entry.previous;
    entry.previous = null;
    entry.next = null;
    this.#size -= 1;
  }

  /** What is in it now; it may change while one goes through. */
  values(): readonly T[] {
    const values: T[] = [];
    for (let entry = this.#first; entry !== null; entry = entry.next) values.push(entry.value);
    return values;
  }
}
