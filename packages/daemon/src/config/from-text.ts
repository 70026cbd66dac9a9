import type { JsonSchema } from "@queen-and-hive/protocol";
import { parse as parseYaml } from "yaml";
import { isPlainObject, type KeyPath } from "./key-path.ts";
import { knownKeysOf, nearest, schemaAt } from "./schema-walk.ts";

/** A value from an environment variable and where it belongs. */
export interface EnvironmentEntry {
  readonly variable: string;
  readonly path: KeyPath;
  readonly value: unknown;
}

/**
 * Text from a flag or an environment variable -> the value that its schema asks for. Lists and maps are written as YAML
 * (`[a, b]`), a list of texts also as `a,b`. What does not fit stays text, so that the check can say what was expected.
 */
export function valueFromText(text: string, schema: JsonSchema | null): unknown {
  const types = typesOf(schema);
  if (types.has("string")) return text;
  if ((types.has("number") || types.has("integer")) && text.trim() !== "" && Number.isFinite(Number(text))) return Number(text);
  if (types.has("boolean") && (text === "true" || text === "false")) return text === "true";
  if (types.has("array") && !text.trimStart().startsWith("[")) return text.split(",").map((part) => part.trim());
  if (types.has("array") || types.has("object")) {
    try {
      const value: unknown = parseYaml(text);
      return value;
    } catch {
      return text;
    }
  }
  return text;
}

/**
 * `QUEEN_HEALTH__INTERVAL` -> `health.interval`. A variable whose first word is no key of ours belongs to somebody else
 * (`QUEEN_KEY`, what Kubernetes injects) and is only reported, with the key that may have been meant.
 */
export function readEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  prefix: string,
  schema: JsonSchema,
): { readonly entries: readonly EnvironmentEntry[]; readonly foreign: readonly string[] } {
  const entries: EnvironmentEntry[] = [];
  const foreign: string[] = [];
  for (const [variable, text] of Object.entries(env)) {
    if (!variable.startsWith(prefix) || text === undefined) continue;
    const path = environmentPath(variable.slice(prefix.length), schema);
    if (path === null) foreign.push(variable);
    else entries.push({ variable, path, value: valueFromText(text, schemaAt(schema, path)) });
  }
  return { entries, foreign };
}

/** The variable that was probably meant by one that is none of ours, or null. */
export function nearestVariable(variable: string, prefix: string, schema: JsonSchema): string | null {
  const [first, ...rest] = variable.slice(prefix.length).toLowerCase().split("__");
  const meant = nearest(first ?? "", knownKeysOf(schema));
  return meant === null ? null : prefix + [meant, ...rest].join("__").toUpperCase();
}

function environmentPath(name: string, schema: JsonSchema): KeyPath | null {
  const path: string[] = [];
  for (const part of name.split("__")) {
    const place = schemaAt(schema, path);
    // The keys of a free map, such as env, keep their case.
    const isFreeMap = isPlainObject(place?.["additionalProperties"]);
    path.push(isFreeMap ? part : part.toLowerCase());
  }
  return knownKeysOf(schema).includes(path[0] ?? "") ? path : null;
}

function typesOf(schema: JsonSchema | null): ReadonlySet<string> {
  if (schema === null) return new Set();
  const types = new Set<string>();
  const type = schema["type"];
  if (typeof type === "string") types.add(type);
  if (Array.isArray(type)) for (const one of type) types.add(String(one));
  if ("const" in schema) types.add(typeof schema["const"]);
  if (Array.isArray(schema["enum"])) for (const one of schema["enum"]) types.add(typeof one);
  for (const part of [schema["anyOf"], schema["oneOf"]]) {
    if (Array.isArray(part)) for (const one of part) if (isPlainObject(one)) for (const inner of typesOf(one)) types.add(inner);
  }
  return types;
}
