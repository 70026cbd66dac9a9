import { appendFile, chmod, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** A GPU that exists only in what `nvidia-smi` says: a script that a test's machine has first on its PATH. */
export interface ScriptedGpu {
  readonly id: string;
  /** The folder of the tool. */
  readonly bin: string;
  /** Words before a command that make its process hold so much memory of the GPU until it ends. */
  holding(mebibytes: number, command: readonly string[]): readonly [string, ...string[]];
  /** How often the tool was run. */
  looks(): Promise<number>;
  /** From now on the tool hears no TERM and says nothing for 20 seconds. */
  hang(): Promise<void>;
  /** From now on there is no such tool. */
  remove(): Promise<void>;
}

/** Writes the tool: 24 GiB, of which a desktop has 1 GiB and each process of `holding` its own for as long as it lives. */
export async function scriptGpu(dir: string): Promise<ScriptedGpu> {
  const bin = join(dir, "bin");
  const holds = join(dir, "holds");
  const looksPath = join(dir, "looks");
  const tool = join(bin, "nvidia-smi");
  const id = "GPU-1a2b3c4d-0000-0000-0000-000000000001";
  await mkdir(bin, { recursive: true });
  await mkdir(holds, { recursive: true });
  await appendFile(looksPath, "");
  const write = async (lines: readonly string[]): Promise<void> => {
    // A running script is read as it goes on.
    await rm(tool, { force: true });
    await writeFile(tool, `${["#!/bin/sh", `printf x >>${looksPath}`, ...lines].join("\n")}\n`);
    await chmod(tool, 0o755);
  };
  // No program is started in it, so that it takes as little time as can be.
  await write([
    `used=${DESKTOP_MIB}`,
    "uses=",
    `for file in ${holds}/*; do`,
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the shell that expands it
    "  pid=${file##*/}",
    '  [ -d "/proc/$pid" ] || continue',
    '  read -r mib <"$file"',
    "  used=$((used + mib))",
    `  uses="$uses$pid, ${id}, $mib`,
    '"',
    "done",
    'case "$1" in',
    `--query-gpu=*) echo "${id}, NVIDIA GeForce RTX 4090, 24576, $used, 7" ;;`,
    '*) printf "%s" "$uses" ;;',
    "esac",
  ]);
  return {
    id,
    bin,
    holding: (mebibytes, command) => ["sh", "-c", `echo ${mebibytes} >${holds}/$$; exec "$@"`, "sh", ...command],
    looks: async () => (await readFile(looksPath, "utf8")).length,
    hang: () => write(["trap '' TERM", "exec sleep 20"]),
    remove: () => rm(tool),
  };
}

const DESKTOP_MIB = 1024;
