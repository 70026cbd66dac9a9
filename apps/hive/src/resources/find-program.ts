import { accessSync, constants, statSync } from "node:fs";
import { join } from "node:path";

/** The full path of a program: as it is when it is a path, else looked up as a shell would; null when it cannot be run. */
export function findProgram(name: string, searchPath: string): string | null {
  if (name.includes("/")) return canRun(name) ? name : null;
  return (
    searchPath
      .split(":")
      .filter((directory) => directory !== "")
      .map((directory) => join(directory, name))
      .find(canRun) ?? null
  );
}

function canRun(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
