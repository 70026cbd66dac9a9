import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import type { WorkerFacts } from "./worker-facts.ts";

/** The token of one incarnation of one worker; only its hash is kept by us. */
export interface CallbackToken {
  readonly token: string;
  readonly sha256: string;
}

/** A new token, `<incarnation>.<random>`: the number is for people who read it, the hash decides. */
export function newCallbackToken(incarnation: number): CallbackToken {
  const token = `${incarnation}.${randomBytes(TOKEN_BYTES).toString("base64url")}`;
  return { token, sha256: sha256Of(token) };
}

/** SHA-256 in hex. */
export function sha256Of(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}

/** Whose token was presented: of the worker's present incarnation, of one before, or of nobody. */
export type TokenOwner = "current" | "earlier" | "nobody";

/** Whose a presented token's hash is, as far as one worker is concerned. */
export function tokenOwnerOf(
  { tokenSha256, oldTokensSha256 }: Pick<WorkerFacts, "tokenSha256" | "oldTokensSha256">,
  sha256: string,
): TokenOwner {
  if (tokenSha256 !== null && isSameHash(tokenSha256, sha256)) return "current";
  return oldTokensSha256.some((old) => isSameHash(old, sha256)) ? "earlier" : "nobody";
}

/** Whether two hashes are equal, in constant time. */
function isSameHash(left: string, right: string): boolean {
  const [one, other] = [Buffer.from(left, "hex"), Buffer.from(right, "hex")];
  return one.length === other.length && timingSafeEqual(one, other);
}

const TOKEN_BYTES = 24;
