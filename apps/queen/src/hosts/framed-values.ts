/** What a script printed as lines `MARK KEY VALUE` between `begin` and `end`. */
export class FramedValues {
  readonly #lines: readonly { readonly key: string; readonly value: string }[];

  constructor(lines: readonly { readonly key: string; readonly value: string }[]) {
    this.#lines = lines;
  }

  has(key: string): boolean {
    return this.#lines.some((line) => line.key === key);
  }

  all(key: string): readonly string[] {
    return this.#lines.filter((line) => line.key === key).map((line) => line.value);
  }

  /** The first value; null when there is none or it is empty. */
  text(key: string): string | null {
    const [value] = this.all(key);
    return value === undefined || value === "" ? null : value;
  }

  /** The first value as a whole number; null when it is none. */
  number(key: string, radix: 10 | 16 = 10): number | null {
    return wholeNumber(this.text(key), radix);
  }
}

/**
 * A script's output -> its values. Only what follows the last `begin` counts, and only when `end` is its last word: banners
 * of login shells and answers that were cut short are not believed. Null then.
 */
export function readFrame(stdout: string, mark: string): FramedValues | null {
  const lines = stdout.split("\n").flatMap((line) => {
    if (!line.startsWith(`${mark} `)) return [];
    const [, key, value] = /^([a-z_.]+) (.*)$/.exec(line.slice(mark.length + 1)) ?? [];
    return key === undefined || value === undefined ? [] : [{ key, value: value.trim() }];
  });
  const begin = lines.findLastIndex(({ key }) => key === "begin");
  const framed = begin === -1 ? [] : lines.slice(begin + 1);
  return framed.at(-1)?.key === "end" ? new FramedValues(framed) : null;
}

/** A text of digits -> its number, else null. */
export function wholeNumber(text: string | null, radix: 10 | 16): number | null {
  if (text === null || !(radix === 10 ? /^[0-9]+$/ : /^[0-9a-f]+$/i).test(text)) return null;
  return Number.parseInt(text, radix);
}
