import { closeSync, fchmodSync, fstatSync, mkdirSync, openSync, readSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import type { QhError } from "@queen-and-hive/protocol";

/** A host key that nobody has said yes or no to. */
export interface UnknownHostKey {
  /** `SHA256:...`, as ssh prints it. */
  readonly fingerprint: string;
  readonly type: string;
  /** The known_hosts file in which it was looked up first. */
  readonly file: string;
  /** The line that would make it known. */
  readonly line: string;
}

/** What a refusal says of a key that is merely unknown; null for a changed or revoked one, and for any other failure. */
export function unknownHostKeyOf({ kind, details }: QhError): UnknownHostKey | null {
  if (kind !== "host_key_refused" || details?.["reason"] !== "unknown") return null;
  const { fingerprint, key_type: type, known_hosts: file, line } = details;
  const texts = [fingerprint, type, file, line].filter((text) => typeof text === "string");
  const [first, second, third, fourth] = texts;
  if (first === undefined || second === undefined || third === undefined || fourth === undefined) return null;
  return { fingerprint: first, type: second, file: third, line: fourth };
}

/** Writes a key into its known_hosts file: a person has said yes. */
export function trustHostKey({ file, line }: UnknownHostKey): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const descriptor = openSync(file, "a+", 0o600);
  try {
    const { size } = fstatSync(descriptor);
    if (size === 0) fchmodSync(descriptor, 0o600);
    const last = Buffer.alloc(1);
    // A last line without its end would swallow ours.
    const isOpen = size > 0 && readSync(descriptor, last, 0, 1, size - 1) === 1 && last.toString() !== "\n";
    writeSync(descriptor, `${isOpen ? "\n" : ""}${line}\n`);
  } finally {
    closeSync(descriptor);
  }
}
