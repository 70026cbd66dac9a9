import { statSync } from "node:fs";
import { chmod, lstat, mkdir, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { QhError } from "@queen-and-hive/protocol";
import { errorCodeOf } from "../error-code.ts";

const PRIVATE_MODE = 0o700;
const OTHERS_MASK = 0o077;

/**
 * Makes a directory (with its parents) that only we can enter, or closes an existing one of ours to others. Refuses one that
 * belongs to somebody else, and a symbolic link that somebody else made, as in /tmp. Throws `storage_failed`.
 */
export async function ensurePrivateDir(path: string): Promise<void> {
  const ourUid = process.getuid?.() ?? 0;
  try {
    await makeWithParents(resolve(path));
    const [link, directory] = [await lstat(path), await stat(path)];
    if (directory.uid !== ourUid || link.uid !== ourUid) {
      throw new QhError(
        "storage_failed",
        `cannot use the directory ${path}: it belongs to user ${directory.uid !== ourUid ? directory.uid : link.uid}, not to us (${ourUid}); name another one`,
      );
    }
    if ((directory.mode & OTHERS_MASK) !== 0) await chmod(path, PRIVATE_MODE);
  } catch (cause) {
    if (cause instanceof QhError) throw cause;
    const code = errorCodeOf(cause) ?? "unknown error";
    throw new QhError("storage_failed", `cannot make the directory ${path}: ${code}`, { cause, details: { path, code } });
  }
}

/** One by one: Node's own recursive mkdir never returns where a parent exists but takes no directory, as in /proc. */
async function makeWithParents(path: string): Promise<void> {
  if (isDirectory(path)) return;
  const parent = dirname(path);
  if (parent !== path) await makeWithParents(parent);
  await mkdir(path, { mode: PRIVATE_MODE }).catch((error: unknown) => {
    // Somebody else has just made it.
    if (!isDirectory(path)) throw error;
  });
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}
