import { createHash } from "node:crypto";
import type { HiveConfigInput } from "@queen-and-hive/protocol";

/** `hive.json` as `hive start` writes it. */
export function keptConfigText(config: HiveConfigInput): string {
  return `${JSON.stringify(config, null, 2)}\n`;
}

/**
 * SHA-256 of what `hive start` keeps of a start request: the text of `hive.json`, then the token. Hive and queen each make it,
 * from what lies on the disk and from what would be handed over; it tells nothing of either without the token.
 */
export function keptStartSha256(configText: string, token: string): string {
  return createHash("sha256").update(configText).update(token).digest("hex");
}
