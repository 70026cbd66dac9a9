import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { statSync } from "node:fs";
import { ensurePrivateDir, readTextIfThere, writeFileDurable } from "@queen-and-hive/daemon/basics";
import { QhError } from "@queen-and-hive/protocol";
import type { StatePaths } from "./state-paths.ts";

const TOKEN_BYTES = 32;
/** The shortest token that a start request may bring. */
const TOKEN_LENGTH_MIN = 16;

/** Keeps the token that a start request brought; only our user can read it. Throws `storage_failed`. */
export async function writeToken(paths: StatePaths, token: string): Promise<void> {
  await ensurePrivateDir(paths.secretsDir);
  await writeFileDurable(paths.token, `${token}\n`);
}

/** The kept token, or null before the first start. Throws `storage_failed`. */
export function readToken(paths: StatePaths): string | null {
  const token = readTextIfThere(paths.token)?.trim() ?? "";
  return token.length >= TOKEN_LENGTH_MIN ? token : null;
}

/** The hive's token as the daemon uses it: what queens present, and what we present to the queen. */
export class TokenFile {
  readonly #paths: StatePaths;
  #token: string;
  #changedAtMs: number;

  private constructor(paths: StatePaths, token: string) {
    this.#paths = paths;
    this.#token = token;
    this.#changedAtMs = changedAtMs(paths.token);
  }

  /** Reads the token; a hive that nobody gave one makes its own. Throws `storage_failed`. */
  static async open(paths: StatePaths): Promise<TokenFile> {
    const kept = readToken(paths);
    if (kept !== null) return new TokenFile(paths, kept);
    const token = randomBytes(TOKEN_BYTES).toString("base64url");
    await writeToken(paths, token);
    return new TokenFile(paths, token);
  }

  /** The token to present to the queen. */
  get current(): string {
    return this.#token;
  }

  /**
   * Whether a presented token is the hive's, compared in constant time. A mismatch looks once whether `hive start` has
   * put a newer token into the file meanwhile, so that a queen who takes over needs no restart of the daemon.
   */
  matches(presented: string): boolean {
    return isEqual(this.#token, presented) || (this.#reloaded() && isEqual(this.#token, presented));
  }

  #reloaded(): boolean {
    const now = changedAtMs(this.#paths.token);
    if (now === this.#changedAtMs) return false;
    this.#changedAtMs = now;
    try {
      this.#token = readToken(this.#paths) ?? this.#token;
      return true;
    } catch (error) {
      if (error instanceof QhError) return false;
      throw error;
    }
  }
}

function isEqual(left: string, right: string): boolean {
  return timingSafeEqual(digest(left), digest(right));
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

function changedAtMs(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
