import { readFileSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { QhError } from "@queen-and-hive/protocol";
import { errorCodeOf } from "../error-code.ts";
import { formatKeyPath, isPlainObject, type KeyPath } from "./key-path.ts";

/** Where references are looked up. */
export interface SecretSources {
  /** What `~` stands for. */
  readonly homeDir: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where relative paths start: the directory of the configuration file. */
  readonly baseDir: string;
}

/**
 * Replaces `${file:PATH}` and `${env:NAME}` in every text of a configuration value by what they name, without a line break at
 * its end. The result remembers its references for `redactSecrets`. Throws `invalid_config` that names key and reference.
 */
export function resolveSecrets<T>(value: T, sources: SecretSources): T {
  // The shape stays, only texts change: this is the parse function of references.
  return resolveAt(value, sources, []) as T;
}

/**
 * A value for printing: what came from a reference is printed as the reference, and what stands at a key that names a secret
 * (`key`, `token`, `HF_TOKEN`, ...) as `<redacted>`.
 */
export function redactSecrets(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  const references = referencesOf.get(value);
  if (Array.isArray(value)) return value.map((item, index) => references?.get(index) ?? redactSecrets(item));
  return Object.fromEntries(
    Object.entries(value).map(([key, member]): [string, unknown] => {
      const reference = references?.get(key);
      if (reference !== undefined) return [key, reference];
      const isSecret = typeof member === "string" && SECRET_KEY.test(key) && !isReference(member);
      return [key, isSecret ? "<redacted>" : redactSecrets(member)];
    }),
  );
}

/** `~` and `~/x` -> under the home directory; everything else as it is. */
export function expandHome(path: string, homeDir: string): string {
  if (path === "~") return homeDir;
  return path.startsWith("~/") ? join(homeDir, path.slice(2)) : path;
}

/** The largest secret that is read from a file. */
const SECRET_BYTES_MAX = 64 * 1024;
const REFERENCE = /\$\{(file|env):([^}]+)\}/g;
const SECRET_KEY = /(^|[_-])(key|token|secret|password|passphrase)$/i;

/** Resolved object -> member -> the text with references that stood there. */
const referencesOf = new WeakMap<object, Map<string | number, string>>();

function resolveAt(value: unknown, sources: SecretSources, path: KeyPath): unknown {
  if (typeof value === "string") return resolveText(value, sources, path);
  if (Array.isArray(value)) {
    const resolved = value.map((item, index): unknown => resolveAt(item, sources, [...path, index]));
    return remember(resolved, value.entries());
  }
  if (!isPlainObject(value)) return value;
  const entries = Object.entries(value);
  return remember(Object.fromEntries(entries.map(([key, member]) => [key, resolveAt(member, sources, [...path, key])])), entries);
}

function remember(resolved: object, entries: Iterable<[string | number, unknown]>): object {
  const references = new Map<string | number, string>();
  for (const [key, text] of entries) if (typeof text === "string" && isReference(text)) references.set(key, text);
  if (references.size > 0) referencesOf.set(resolved, references);
  return resolved;
}

function isReference(text: string): boolean {
  return text.search(REFERENCE) >= 0;
}

function resolveText(text: string, sources: SecretSources, path: KeyPath): string {
  return text.replace(REFERENCE, (reference, kind: string, name: string) =>
    kind === "env" ? fromEnvironment(name, reference, sources, path) : fromFile(name, reference, sources, path),
  );
}

function fromEnvironment(name: string, reference: string, { env }: SecretSources, path: KeyPath): string {
  const value = env[name];
  if (value === undefined) throw missing(path, reference, `the environment variable ${name} is not set`);
  return withoutLineEnd(value);
}

function fromFile(name: string, reference: string, { homeDir, baseDir }: SecretSources, path: KeyPath): string {
  const expanded = expandHome(name, homeDir);
  const file = isAbsolute(expanded) ? expanded : join(baseDir, expanded);
  try {
    const bytes = readFileSync(file);
    if (bytes.length > SECRET_BYTES_MAX) throw missing(path, reference, `${file} has more than ${SECRET_BYTES_MAX} bytes`);
    return withoutLineEnd(bytes.toString("utf8"));
  } catch (cause) {
    if (cause instanceof QhError) throw cause;
    const code = errorCodeOf(cause) ?? "unknown error";
    throw missing(path, reference, code === "ENOENT" ? `there is no file ${file}` : `${file} cannot be read (${code})`, cause);
  }
}

function missing(path: KeyPath, reference: string, why: string, cause?: unknown): QhError {
  const key = formatKeyPath(path);
  return new QhError("invalid_config", `cannot resolve ${reference} at ${key}: ${why}`, { param: key, cause });
}

function withoutLineEnd(text: string): string {
  return text.replace(/\r?\n$/, "");
}
