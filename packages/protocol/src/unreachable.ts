/** The end of an exhaustive switch: does not compile while a case is missing, throws when a value lies about its type. */
export function unreachable(value: never): never {
  throw new Error(`unreachable case: ${JSON.stringify(value)}`);
}
