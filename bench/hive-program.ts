import { existsSync } from "node:fs";
import { REPOSITORY } from "@queen-and-hive/dev-env";

const EXECUTABLE = `${REPOSITORY}/dist/hive-linux-${process.arch}`;

/** The hive that is measured: the executable where `npm run build:hive` has made it, else the sources, which is said. */
export function hiveProgram(): { readonly command: readonly string[]; readonly name: "executable" | "sources" } {
  if (existsSync(EXECUTABLE)) return { command: [EXECUTABLE], name: "executable" };
  console.error(`${EXECUTABLE} is not there, so the sources are measured; \`npm run build:hive\` makes it.`);
  return { command: [process.execPath, `${REPOSITORY}/apps/hive/src/main.ts`], name: "sources" };
}
