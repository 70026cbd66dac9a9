import { constants, copyFileSync, existsSync, linkSync, renameSync } from "node:fs";
import { QhError } from "@queen-and-hive/protocol";
import { type Clock, systemClock } from "../clock.ts";
import { errorCodeOf } from "../error-code.ts";

/**
 * Renames a damaged file to `<path>.damaged-<ISO time>`, so that we can start without it and a person can look at it.
 * Returns the new path, or null when there is no such file. Never overwrites. Throws `storage_failed`.
 */
export function setAside(path: string, clock: Clock = systemClock): string | null {
  return keepAside(path, clock, renameSync);
}

/**
 * Keeps what a damaged file holds under the same name as `setAside` and leaves the file in its place, for one that is about
 * to be replaced in one step: a crash in between loses nothing of it. Returns and throws as `setAside`.
 */
export function copyAside(path: string, clock: Clock = systemClock): string | null {
  return keepAside(path, clock, (from, to) => {
    try {
      linkSync(from, to);
    } catch (error) {
      if (errorCodeOf(error) === "ENOENT") throw error;
      // A file system without hard links.
      copyFileSync(from, to, constants.COPYFILE_EXCL);
    }
  });
}

function keepAside(path: string, clock: Clock, keep: (from: string, to: string) => void): string | null {
  const stem = `${path}.damaged-${new Date(clock.nowMs()).toISOString()}`;
  let target = stem;
  for (let number = 2; existsSync(target); number += 1) target = `${stem}-${number}`;
  try {
    keep(path, target);
    return target;
  } catch (cause) {
    const code = errorCodeOf(cause) ?? "unknown error";
    if (code === "ENOENT") return null;
    throw new QhError("storage_failed", `cannot set the damaged file ${path} aside: ${code}`, { cause, details: { path, code } });
  }
}
