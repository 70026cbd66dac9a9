import { keptStartSha256, readTextIfThere } from "@queen-and-hive/daemon/basics";
import { QhError } from "@queen-and-hive/protocol";
import type { StatePaths } from "./state-paths.ts";
import { readToken } from "./token-file.ts";

/** The SHA-256 of what `hive start` has kept here, as it lies on the disk now; null when some of it is not there or unreadable. */
export function readKeptStart(paths: StatePaths): string | null {
  try {
    const text = readTextIfThere(paths.config);
    const token = readToken(paths);
    return text === null || token === null ? null : keptStartSha256(text, token);
  } catch (error) {
    if (error instanceof QhError) return null;
    throw error;
  }
}
