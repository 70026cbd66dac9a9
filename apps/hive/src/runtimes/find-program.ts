import { accessSync, constants, statSync } from "node:fs";
import { delimiter, isAbsolute, join } from "node:path";

/** The program that a first word means: a path as it is, a bare name looked up on `searchPath`; null when there is none to run. */
export function findProgram(word: string, searchPath: string): string | null {
  if (word.includes("/")) return isAbsolute(word) && isProgram(word) ? word : null;
  for (const folder of searchPath.split(delimiter)) {
    const path = join(folder, word);
    if (isAbsolute(folder) && isProgram(path)) return path;
  }
  return null;
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
