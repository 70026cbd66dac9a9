import { createHash } from "node:crypto";
import { statSync } from "node:fs";
import { errorCodeOf } from "@queen-and-hive/daemon";
import { QhError } from "@queen-and-hive/protocol";
import { execa } from "execa";

/** What is known of a host's keys. */
export interface KnownKeys {
  readonly trusted: readonly KnownKey[];
  readonly revoked: readonly KnownKey[];
}

/** One key of a known_hosts file. */
export interface KnownKey {
  /** `ssh-ed25519`, ... */
  readonly type: string;
  /** The key in base64. */
  readonly key: string;
}

/** How long one look-up may take, milliseconds. */
const LOOK_UP_MS = 5_000;
/** `ssh-keygen -F` ends so when it has found the name, and when the name is not there. */
const ANSWERS = new Set([0, 1]);

/**
 * Looks a host up in known_hosts files, hashed entries too, with OpenSSH's own tool. Throws `host_unreachable` where that
 * is not installed: a host key is never trusted unseen.
 */
export async function findKnownKeys(files: readonly string[], keyName: string, signal?: AbortSignal): Promise<KnownKeys> {
  const found = await Promise.all(files.filter(isThere).map((file) => lookUp(file, keyName, signal)));
  const lines = found.flat();
  return {
    trusted: lines.filter(({ marker }) => marker === null),
    revoked: lines.filter(({ marker }) => marker === "@revoked"),
  };
}

/** Only what surely does not exist counts as a file without keys; ssh-keygen says what else is wrong with one. */
function isThere(file: string): boolean {
  try {
    statSync(file);
    return true;
  } catch (error) {
    const code = errorCodeOf(error);
    return code !== "ENOENT" && code !== "ENOTDIR";
  }
}

async function lookUp(
  file: string,
  keyName: string,
  signal: AbortSignal | undefined,
): Promise<(KnownKey & { marker: string | null })[]> {
  const result = await execa("ssh-keygen", ["-F", keyName, "-f", file], {
    reject: false,
    stdin: "ignore",
    timeout: LOOK_UP_MS,
    ...(signal === undefined ? {} : { cancelSignal: signal }),
  });
  signal?.throwIfAborted();
  if (result.exitCode !== undefined && !ANSWERS.has(result.exitCode)) {
    const said = result.stderr.trim().split("\n").slice(-3).join(" | ");
    throw new QhError(
      "host_unreachable",
      `cannot look up the host key of ${keyName} in ${file}: ssh-keygen says: ${said === "" ? "nothing" : said}; mend that file`,
    );
  }
  if (result.exitCode === undefined) {
    throw new QhError(
      "host_unreachable",
      `cannot look up the host key of ${keyName} in ${file}: ssh-keygen does not run here; install OpenSSH's client`,
      { cause: result.cause },
    );
  }
  return result.stdout.split("\n").flatMap((line) => {
    const words = line.trim().split(/\s+/);
    if (line.startsWith("#") || words.length < 3) return [];
    const marker = words[0]?.startsWith("@") === true ? (words.shift() ?? null) : null;
    const [, type = "", key = ""] = words;
    return [{ marker, type, key }];
  });
}

/** A key as `ssh` prints it: `SHA256:` and 43 characters. */
function fingerprintOf(key: Uint8Array): string {
  return `SHA256:${createHash("sha256").update(key).digest("base64").replace(/=+$/, "")}`;
}

/** What a host showed us, and where its key is looked up. */
export interface ShownKey {
  readonly name: string;
  readonly keyName: string;
  readonly files: readonly string[];
  /** In SSH's wire format. */
  readonly key: Uint8Array;
}

/** Null when the key is the known one; else the refusal, with all fingerprints. The line in `details` would make it known. */
export function judgeHostKey({ name, keyName, files, key }: ShownKey, known: KnownKeys): QhError | null {
  const text = Buffer.from(key).toString("base64");
  const type = keyTypeOf(key);
  const fingerprint = fingerprintOf(key);
  const isIn = (keys: readonly KnownKey[]): boolean => keys.some((one) => one.key === text);
  if (isIn(known.trusted) && !isIn(known.revoked)) return null;
  const knownFingerprints = known.trusted.map((one) => fingerprintOf(Buffer.from(one.key, "base64")));
  const details = {
    key_type: type,
    fingerprint,
    known_fingerprints: knownFingerprints,
    known_hosts: files[0] ?? null,
    line: `${keyName} ${type} ${text}`,
  };
  if (isIn(known.revoked)) {
    const message = `cannot trust ${name}: its ${type} key ${fingerprint} is marked as revoked in ${files.join(", ")}`;
    return new QhError("host_key_refused", message, { details: { reason: "revoked", ...details } });
  }
  if (known.trusted.length > 0) {
    return new QhError(
      "host_key_refused",
      `cannot trust ${name}: its host key has CHANGED. It shows ${type} ${fingerprint}, known is ${knownFingerprints.join(" or ")} (${files.join(", ")}). Somebody may be listening in; if the machine was set up anew, remove the old key with "ssh-keygen -R ${keyName}"`,
      { details: { reason: "changed", ...details } },
    );
  }
  return new QhError(
    "host_key_refused",
    `cannot trust ${name}: no host key of ${keyName} is known in ${files.join(", ")}. It shows ${type} ${fingerprint}; compare it on the machine itself, then connect once by ssh`,
    { details: { reason: "unknown", ...details } },
  );
}

/** The key algorithm's name, which SSH's wire format begins with (RFC 4253, 6.6). */
function keyTypeOf(key: Uint8Array): string {
  const buffer = Buffer.from(key);
  const length = buffer.length < 4 ? 0 : buffer.readUInt32BE(0);
  return buffer.subarray(4, 4 + length).toString("latin1");
}
