import { formatKeyPath, isPlainObject, type KeyPath } from "./key-path.ts";

/** Where a value came from, from the strongest to the weakest. */
export type Origin = "flag" | "environment" | "file" | "default";

/** One source of configuration. */
export interface Layer {
  readonly origin: Origin;
  readonly value: unknown;
}

/**
 * Merges layers, the strongest last: maps key by key, everything else (lists too) as a whole. Objects are made from entries,
 * so that a `__proto__` key stays a key and never becomes a prototype.
 */
export function mergeLayers(layers: readonly Layer[]): {
  readonly value: unknown;
  readonly origins: ReadonlyMap<string, Origin>;
} {
  const origins = new Map<string, Origin>();
  const value = layers.reduce<unknown>((below, layer) => merge(below, layer, [], origins), undefined);
  return { value: value ?? {}, origins };
}

function merge(below: unknown, layer: Layer, path: KeyPath, origins: Map<string, Origin>): unknown {
  const above = layer.value;
  if (above === undefined) return below;
  if (!isPlainObject(above)) {
    forgetBelow(path, origins);
    origins.set(formatKeyPath(path), layer.origin);
    return above;
  }
  const start = isPlainObject(below) ? below : {};
  if (!isPlainObject(below)) forgetBelow(path, origins);
  const entries = new Map<string, unknown>(Object.entries(start));
  for (const [key, value] of Object.entries(above)) {
    entries.set(key, merge(entries.get(key), { origin: layer.origin, value }, [...path, key], origins));
  }
  if (entries.size === 0) origins.set(formatKeyPath(path), layer.origin);
  else origins.delete(formatKeyPath(path));
  return Object.fromEntries(entries);
}

function forgetBelow(path: KeyPath, origins: Map<string, Origin>): void {
  const own = formatKeyPath(path);
  for (const key of origins.keys()) {
    if (key === own || key.startsWith(`${own}.`)) origins.delete(key);
  }
}
