import { isDigit } from "./json-number.ts";

/** Stands behind a backslash, and four hexadecimal digits behind it. */
export const LETTER_U = 0x75;

/** By character: 1 for those that need nothing more behind a backslash. */
const SHORT_ESCAPES = new Uint8Array(256);
for (const character of '"\\/bfnrt') SHORT_ESCAPES[character.charCodeAt(0)] = 1;

/** Whether a backslash and this are a whole escape (RFC 8259, 7). */
export function isShortEscape(byte: number): boolean {
  return SHORT_ESCAPES[byte] === 1;
}

/** `0` to `9`, `A` to `F`, `a` to `f`. */
export function isHex(byte: number): boolean {
  return isDigit(byte) || (byte >= 0x41 && byte <= 0x46) || (byte >= 0x61 && byte <= 0x66);
}

/** The text of a string as it is written between its quotes; a longer one than is kept is shortened, and so is nobody's name. */
export function decodeString(written: readonly number[]): string {
  const isAscii = written.every((byte) => byte < 0x80);
  const raw = isAscii ? String.fromCharCode(...written) : new TextDecoder().decode(Uint8Array.from(written));
  if (!raw.includes("\\")) return raw;
  try {
    return String(JSON.parse(`"${raw}"`));
  } catch {
    return raw;
  }
}
