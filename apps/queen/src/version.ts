import { readFileSync } from "node:fs";

/** The version of this queen, from the package that it is in. */
export const QUEEN_VERSION: string = readVersion();

function readVersion(): string {
  const text = readFileSync(new URL("../package.json", import.meta.url), "utf8");
  const value: unknown = JSON.parse(text);
  return typeof value === "object" && value !== null && "version" in value && typeof value.version === "string"
    ? value.version
    : "unknown";
}
