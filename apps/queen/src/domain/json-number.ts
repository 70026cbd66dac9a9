/** Which part of a JSON number (RFC 8259, 6) was read last. */
export type NumberPart = "minus" | "zero" | "integer" | "dot" | "fraction" | "e" | "e_sign" | "exponent";

/** The digit that must stand alone before a dot. */
export const ZERO = 0x30;
const MINUS = 0x2d;
const PLUS = 0x2b;
const DOT = 0x2e;

/** Whether a number may end after this part. */
export function mayEndNumber(part: NumberPart): boolean {
  return part === "zero" || part === "integer" || part === "fraction" || part === "exponent";
}

/** The part after one more byte, or null when the byte does not belong to the number. */
export function nextNumberPart(part: NumberPart, byte: number): NumberPart | null {
  const digit = isDigit(byte);
  switch (part) {
    case "minus":
      return !digit ? null : byte === ZERO ? "zero" : "integer";
    case "zero":
    case "integer":
      if (digit) return part === "zero" ? null : "integer";
      return byte === DOT ? "dot" : isE(byte) ? "e" : null;
    case "dot":
      return digit ? "fraction" : null;
    case "fraction":
      return digit ? "fraction" : isE(byte) ? "e" : null;
    case "e":
      return digit ? "exponent" : byte === PLUS || byte === MINUS ? "e_sign" : null;
    case "e_sign":
    case "exponent":
      return digit ? "exponent" : null;
  }
}

/** `0` to `9`. */
export function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= 0x39;
}

function isE(byte: number): boolean {
  return byte === 0x65 || byte === 0x45;
}
