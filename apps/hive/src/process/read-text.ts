import { readFileSync } from "node:fs";

/** The text of a small file of the kernel's (below /proc or /sys); null where there is none or it may not be read. */
export function readText(path: string): string | null {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return null;
  }
}
