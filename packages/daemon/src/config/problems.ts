import type { JsonSchema } from "@queen-and-hive/protocol";
import { childOf, formatKeyPath, type KeyPath } from "./key-path.ts";
import { descriptionOf, nearest, schemaAt, type UnknownKey } from "./schema-walk.ts";

/** One thing that is wrong with a configuration. */
export interface ConfigProblem {
  /** `queen.yaml:12`, `the environment variable QUEEN_LISTEN`, `the command line`. */
  readonly where: string;
  /** `health.interval`. */
  readonly key: string;
  /** `expected a duration such as 10s, got 5`. */
  readonly problem: string;
}

/** Turns unknown keys and failed checks into problems that name place, key and what was expected. */
export function configProblems(
  schema: JsonSchema,
  value: unknown,
  unknown: readonly UnknownKey[],
  failed: readonly { readonly path: KeyPath; readonly expected: string }[],
  placeOf: (path: KeyPath) => string,
): readonly ConfigProblem[] {
  const problems = unknown.map(({ path, known }): ConfigProblem => {
    const meant = nearest(String(path.at(-1)), known);
    const advice = meant !== null ? `; did you mean ${meant}?` : known.length > 0 ? `; known here: ${known.join(", ")}` : "";
    return { where: placeOf(path), key: formatKeyPath(path), problem: `unknown key${advice}` };
  });
  for (const [path, expectations] of groupByPath(failed)) {
    const description = descriptionOf(schemaAt(schema, path));
    const expected = description === null ? expectations.join("; ") : `expected ${description}`;
    const got = shownValue(schemaAt(schema, path), path, value);
    problems.push({
      where: placeOf(path),
      key: formatKeyPath(path),
      problem: got === null ? expected : `${expected}, got ${got}`,
    });
  }
  return problems;
}

/** All problems as one message: one line when there is one, else one line each. */
export function formatProblems(problems: readonly ConfigProblem[]): string {
  const lines = problems.map(({ where, key, problem }) => `${where}: ${key === "" ? "" : `${key}: `}${problem}`);
  return lines.length === 1
    ? `cannot use the configuration: ${lines[0]}`
    : `cannot use the configuration:\n  ${lines.join("\n  ")}`;
}

function groupByPath(
  failed: readonly { readonly path: KeyPath; readonly expected: string }[],
): ReadonlyMap<KeyPath, readonly string[]> {
  const groups = new Map<string, { readonly path: KeyPath; readonly expected: string[] }>();
  for (const { path, expected } of failed) {
    const key = JSON.stringify(path);
    const group = groups.get(key) ?? { path, expected: [] };
    if (!group.expected.includes(expected)) group.expected.push(expected);
    groups.set(key, group);
  }
  return new Map([...groups.values()].map(({ path, expected }) => [path, expected]));
}

/** What was found, but never a text that may be a secret: only where the schema asks for a pattern or one of some words. */
function shownValue(schema: JsonSchema | null, path: KeyPath, root: unknown): string | null {
  const value = path.reduce<unknown>(childOf, root);
  if (typeof value === "number" || typeof value === "boolean" || value === null) return String(value);
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "keys with values";
  if (typeof value !== "string") return null;
  return schema !== null && ("pattern" in schema || "enum" in schema) ? JSON.stringify(value) : "a text";
}
