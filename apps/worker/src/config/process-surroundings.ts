import { realpathSync } from "node:fs";
import { availableParallelism } from "node:os";
import type { WorkerSurroundings } from "./worker-config.ts";

/**
 * What this process was started with. Flags are the words behind our own main file, whether Node was given it as the
 * script or another program (the single-file hive) was given it to import.
 */
export function processSurroundings(mainFile: string): WorkerSurroundings {
  const place = process.argv.findIndex((word, index) => index > 0 && isSameFile(word, mainFile));
  return { env: process.env, args: place === -1 ? [] : process.argv.slice(place + 1), cores: availableParallelism() };
}

function isSameFile(one: string, other: string): boolean {
  try {
    return realpathSync(one) === realpathSync(other);
  } catch {
    return false;
  }
}
