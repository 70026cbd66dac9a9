import { isSea } from "node:sea";
import { fileURLToPath } from "node:url";

/** The words that start this same program again: the single executable, or Node with `main.ts` of this checkout. */
export function ownCommand(): readonly string[] {
  return isSea() ? [process.execPath] : [process.execPath, fileURLToPath(new URL("../main.ts", import.meta.url))];
}
