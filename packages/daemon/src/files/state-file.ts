import { closeSync, constants, openSync, readFileSync } from "node:fs";
import { QhError, type Validator } from "@queen-and-hive/protocol";
import { errorCodeOf } from "../error-code.ts";
import { parseJson } from "../json-field.ts";
import { setAside } from "./set-aside.ts";

/** What a file of the state directory held: nothing yet, a value, or damage (then the file is kept aside). */
export type StateFileContent<T> =
  | { readonly kind: "absent" }
  | { readonly kind: "value"; readonly value: T }
  | { readonly kind: "damaged"; readonly keptAs: string | null };

/** Reads a small JSON file of ours. Damage is an outcome: its owner starts without it. Throws `storage_failed`. */
export function readStateFile<T>(path: string, validate: Validator<T>): StateFileContent<T> {
  const content = peekStateFile(path, validate);
  return content.kind === "damaged" ? { kind: "damaged", keptAs: setAside(path) } : content;
}

/** The same without moving a damaged file: for commands that only look. Throws `storage_failed`. */
export function peekStateFile<T>(path: string, validate: Validator<T>): StateFileContent<T> {
  const text = readTextIfThere(path);
  if (text === null) return { kind: "absent" };
  const checked = validate(parseJson(text));
  return checked.ok ? { kind: "value", value: checked.value } : { kind: "damaged", keptAs: null };
}

/**
 * The text of a file, or null when there is none. A FIFO is not waited for: a worker may have put one into its directory.
 * Throws `storage_failed`.
 */
export function readTextIfThere(path: string): string | null {
  try {
    const descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      return readFileSync(descriptor, "utf8");
    } finally {
      closeSync(descriptor);
    }
  } catch (cause) {
    const code = errorCodeOf(cause) ?? "unknown error";
    if (code === "ENOENT") return null;
    throw new QhError("storage_failed", `cannot read ${path}: ${code}; check its owner and mode`, { cause });
  }
}
