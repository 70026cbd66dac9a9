import { isErrorKind, QhError, type Validator } from "@queen-and-hive/protocol";
import { lastWords } from "./framed-line.ts";
import type { CommandEnd } from "./host.ts";

/**
 * What a hive command says: only the last line of its standard output counts, and only when it is one JSON object of the
 * expected shape. Throws the kind of a printed error, else `peer_nonsense` with what stderr said last.
 */
export function readCommandAnswer<T>(command: string, end: CommandEnd, validate: Validator<T>): T {
  const line = parseLastLine(end.stdout);
  if (line !== null) {
    const printed = parsePrintedError(line);
    if (printed !== null) throw printed;
    const checked = validate(line);
    if (checked.ok) return checked.value;
  }
  throw new QhError("peer_nonsense", `cannot understand what "${command}" answered (${lastWords(end)})`, {
    details: { exit_code: end.exitCode },
  });
}

/** Whether a hive command has said anything itself; a login shell may have printed its banner before. */
export function hasAnswered({ stdout }: CommandEnd): boolean {
  return parseLastLine(stdout) !== null;
}

function parseLastLine(stdout: string): Record<string, unknown> | null {
  const last = stdout.trimEnd().split("\n").at(-1) ?? "";
  try {
    const value: unknown = JSON.parse(last);
    return isRecord(value) ? value : null;
  } catch {
    return null;
  }
}

function parsePrintedError(line: Record<string, unknown>): QhError | null {
  const error = line["error"];
  if (!isRecord(error) || typeof error["message"] !== "string") return null;
  const code = error["code"];
  const kind = typeof code === "string" && isErrorKind(code) ? code : "internal";
  const details = error["details"];
  return new QhError(kind, error["message"], isRecord(details) ? { details } : {});
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
