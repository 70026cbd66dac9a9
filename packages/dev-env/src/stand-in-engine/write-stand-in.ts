import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { EngineKind } from "./command-line.ts";

/** The first word of each server's command line. */
const PROGRAMS: Readonly<Record<EngineKind, string>> = { "llama-server": "llama-server", vllm: "vllm", sglang: "python3" };

/** Writes a program into a folder that passes for an inference server; returns its path. */
export function writeStandInEngine(folder: string, kind: EngineKind): string {
  const path = join(folder, PROGRAMS[kind]);
  const main = fileURLToPath(new URL("main.ts", import.meta.url));
  writeFileSync(path, `#!/bin/sh\nexec '${process.execPath}' '${main}' ${kind} "$@"\n`);
  chmodSync(path, 0o755);
  return path;
}
