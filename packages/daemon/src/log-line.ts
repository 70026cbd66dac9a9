import { inspect } from "node:util";

/** From the most to the least urgent: error, warn, info, debug. */
export type LogLevel = "error" | "warn" | "info" | "debug";

/** One line of a log before it is text. */
export interface LogEntry {
  /** ISO 8601 in UTC. */
  readonly time: string;
  readonly level: LogLevel;
  readonly program: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** One JSON line; a field never hides time, level, program or message. */
export function toJsonLine(entry: LogEntry): string {
  const { time, level, program, message, fields } = entry;
  const head = { time, level, program, message };
  try {
    return JSON.stringify({ ...head, ...fields, ...head }, readable);
  } catch (error) {
    // A cycle in a field: the line matters more than the field.
    return JSON.stringify({
      ...head,
      fields: inspect(fields, { depth: 3, breakLength: Number.POSITIVE_INFINITY }),
      unserializable: String(error),
    });
  }
}

/** One line for people; control characters are escaped, so that a logged text cannot drive the terminal. */
export function toPrettyLine(entry: LogEntry): string {
  const fields = Object.entries(entry.fields).map(([name, value]) => `${name}=${shown(value)}`);
  return [entry.time.slice(11, 23), entry.level.padEnd(5), escaped(entry.message), ...fields].join(" ");
}

/** An error as plain data: message, kind and code where it has them, stack, and its causes to a depth of five. */
function describeError(error: Error, depth = 0): Readonly<Record<string, unknown>> {
  return {
    name: error.name,
    message: error.message,
    ...("kind" in error ? { kind: error.kind } : {}),
    ...("code" in error ? { code: error.code } : {}),
    ...("details" in error && error.details !== undefined ? { details: error.details } : {}),
    ...(error.stack === undefined ? {} : { stack: error.stack }),
    ...(error.cause === undefined || depth >= CAUSES_MAX
      ? {}
      : { cause: error.cause instanceof Error ? describeError(error.cause, depth + 1) : error.cause }),
  };
}

const CAUSES_MAX = 5;

function readable(_key: string, value: unknown): unknown {
  if (value instanceof Error) return describeError(value);
  return typeof value === "bigint" ? value.toString() : value;
}

function shown(value: unknown): string {
  if (typeof value === "string") return /^[\x21\x23-\x7e]+$/.test(value) ? value : JSON.stringify(value);
  if (value instanceof Error)
    return escaped(`${value.message}${value.cause instanceof Error ? ` (${value.cause.message})` : ""}`);
  try {
    return escaped(JSON.stringify(value, readable) ?? String(value));
  } catch {
    return escaped(inspect(value, { depth: 2, breakLength: Number.POSITIVE_INFINITY }));
  }
}

function escaped(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  return text.replace(/[\x00-\x1f\x7f-\x9f]/g, (character) => JSON.stringify(character).slice(1, -1));
}
