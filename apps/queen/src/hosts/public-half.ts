import { readFileSync } from "node:fs";

/** What the file of a private key begins with, base64 decoded (OpenSSH's PROTOCOL.key). */
const MAGIC = "openssh-key-v1\0";
const PRIVATE_KEY = /-----BEGIN OPENSSH PRIVATE KEY-----([\s\S]*?)-----END/;
const PUBLIC_KEY = /^(?:ssh|ecdsa|sk)-\S+ +([A-Za-z0-9+/=]+)/;

/**
 * The public half, in base64 of SSH's wire format, of the key that an identity file means: the file beside it with `.pub`,
 * or itself, a passphrase notwithstanding. Null where it cannot be told.
 */
export function publicHalfOf(identityFile: string): string | null {
  const own = read(identityFile);
  return PUBLIC_KEY.exec(own)?.[1] ?? PUBLIC_KEY.exec(read(`${identityFile}.pub`))?.[1] ?? publicPartOf(own);
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

/** Its public key stands before the part that a passphrase locks: after the cipher, the KDF, its options and a count. */
function publicPartOf(text: string): string | null {
  const bytes = Buffer.from(PRIVATE_KEY.exec(text)?.[1] ?? "", "base64");
  if (bytes.toString("latin1", 0, MAGIC.length) !== MAGIC) return null;
  try {
    let at = MAGIC.length;
    for (let skipped = 0; skipped < 3; skipped += 1) at += 4 + bytes.readUInt32BE(at);
    at += 4;
    const length = bytes.readUInt32BE(at);
    return bytes.toString("base64", at + 4, at + 4 + length);
  } catch {
    // The file was cut short.
    return null;
  }
}
