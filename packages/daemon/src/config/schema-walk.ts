import type { JsonSchema } from "@queen-and-hive/protocol";
import { childOf, isPlainObject, type KeyPath } from "./key-path.ts";

/** A key that the schema does not know. */
export interface UnknownKey {
  readonly path: KeyPath;
  /** The keys that the schema knows at that place. */
  readonly known: readonly string[];
}

/** The schema of a place, or null where the schema says nothing about it. */
export function schemaAt(schema: JsonSchema, path: KeyPath): JsonSchema | null {
  let place: JsonSchema | null = schema;
  for (const part of path) {
    if (place === null) return null;
    place = typeof part === "number" ? asSchema(place["items"]) : memberSchema(place, part);
  }
  return place;
}

/** What a place takes, as its schema's own description, or null. */
export function descriptionOf(schema: JsonSchema | null): string | null {
  const description = schema?.["description"];
  return typeof description === "string" ? description : null;
}

/** The names that a schema gives to members of a map. */
export function knownKeysOf(schema: JsonSchema | null): readonly string[] {
  const properties = schema?.["properties"];
  return isPlainObject(properties) ? Object.keys(properties) : [];
}

/** Splits a value into what the schema knows and the keys it does not; `__proto__` is known nowhere. */
export function withoutUnknownKeys(
  schema: JsonSchema,
  value: unknown,
): { readonly value: unknown; readonly unknown: readonly UnknownKey[] } {
  const unknown: UnknownKey[] = [];
  return { value: prune(schema, value, [], unknown), unknown };
}

/** The name in `known` that a person most likely meant, or null when none is near (Levenshtein distance of a third). */
export function nearest(name: string, known: readonly string[]): string | null {
  let best: string | null = null;
  let bestDistance = Math.max(1, Math.floor(name.length / 3)) + 1;
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

function memberSchema(schema: JsonSchema, key: string): JsonSchema | null {
  return asSchema(childOf(schema["properties"], key)) ?? asSchema(schema["additionalProperties"]);
}

function asSchema(value: unknown): JsonSchema | null {
  return isPlainObject(value) ? value : null;
}

function prune(schema: JsonSchema | null, value: unknown, path: KeyPath, unknown: UnknownKey[]): unknown {
  if (Array.isArray(value)) {
    const items = schema === null ? null : asSchema(schema["items"]);
    return value.map((item, index) => prune(items, item, [...path, index], unknown));
  }
  if (!isPlainObject(value)) return value;
  const kept: [string, unknown][] = [];
  for (const [key, member] of Object.entries(value)) {
    const memberPath = [...path, key];
    const closed = schema?.["additionalProperties"] === false;
    const inner = schema === null ? null : memberSchema(schema, key);
    if (key === "__proto__" || (closed && inner === null)) unknown.push({ path: memberPath, known: knownKeysOf(schema) });
    else kept.push([key, prune(inner, member, memberPath, unknown)]);
  }
  return Object.fromEntries(kept);
}

function editDistance(left: string, right: string): number {
  let previous = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let row = 1; row <= left.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= right.length; column += 1) {
      const replaced = (previous[column - 1] ?? 0) + (left[row - 1] === right[column - 1] ? 0 : 1);
      current.push(Math.min(replaced, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[right.length] ?? 0;
}
