/** The system's code of an error (`ENOENT`, `ECONNREFUSED`), or null. Codes are how errors are told apart, never texts. */
export function errorCodeOf(error: unknown): string | null {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : null;
}
