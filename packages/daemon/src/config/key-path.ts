/** A place in a configuration: `["hives", 0, "id"]`. */
export type KeyPath = readonly (string | number)[];

/** A place as people write it: `hives[0].id`. */
export function formatKeyPath(path: KeyPath): string {
  return path.map((part, index) => (typeof part === "number" ? `[${part}]` : index === 0 ? part : `.${part}`)).join("");
}

/** `health.interval` -> `["health", "interval"]`; the form in which flags are named. */
export function parseKeyPath(text: string): KeyPath {
  return text.split(".");
}

/** A JSON pointer (RFC 6901) into a value -> the place; digits are an index only where the value has an array. */
export function keyPathOfPointer(pointer: string, root: unknown): KeyPath {
  const path: (string | number)[] = [];
  let place: unknown = root;
  for (const raw of pointer.split("/").slice(1)) {
    const part = raw.replaceAll("~1", "/").replaceAll("~0", "~");
    const key = Array.isArray(place) ? Number(part) : part;
    path.push(key);
    place = childOf(place, key);
  }
  return path;
}

/** The own member of an object or array, else undefined. */
export function childOf(value: unknown, key: string | number): unknown {
  if (Array.isArray(value)) return typeof key === "number" ? value[key] : undefined;
  return isPlainObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;
}

/** Whether a value is a map of a configuration: an object that is not an array. */
export function isPlainObject(value: unknown): value is Readonly<Record<string | number, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
