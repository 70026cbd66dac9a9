import type { WorkerSpec } from "@queen-and-hive/protocol";

/** Whether two specs describe the same worker: the order of fields does not count, the order of lists does. */
export function isSameSpec(left: WorkerSpec, right: WorkerSpec): boolean {
  return canonical(left) === canonical(right);
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const fields = Object.entries(value)
    .filter(([, content]) => content !== undefined)
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, content]) => `${JSON.stringify(name)}:${canonical(content)}`);
  return `{${fields.join(",")}}`;
}
