import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ensurePrivateDir, writeFileDurable } from "@queen-and-hive/daemon";
import { QhError } from "@queen-and-hive/protocol";

const TOKEN_BYTES = 32;
/** The shortest token that a hive accepts. */
const TOKEN_LENGTH_MIN = 16;

/** The token that queen and hive share: made once per hive and kept as `secrets/hive-<id>.token` (0600). Throws `storage_failed`. */
export async function openHiveToken(stateDir: string, hiveId: string): Promise<string> {
  const directory = join(stateDir, "secrets");
  const path = join(directory, `hive-${hiveId}.token`);
  await ensurePrivateDir(directory);
  if (existsSync(path)) {
    const token = readToken(path);
    if (token.length >= TOKEN_LENGTH_MIN) return token;
  }
  const token = randomBytes(TOKEN_BYTES).toString("base64url");
  await writeFileDurable(path, `${token}\n`, 0o600);
  return token;
}

/** Whether two secrets are the same, compared in constant time. */
export function isSameSecret(left: string, right: string): boolean {
  return timingSafeEqual(digest(left), digest(right));
}

function readToken(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch (cause) {
    throw new QhError("storage_failed", `cannot read ${path}: look at its permissions`, { cause });
  }
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
