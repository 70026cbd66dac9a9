import { readdirSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { findProgram } from "./find-program.ts";

/** An inference server that we know where to look for. */
export interface Engine {
  /** The runtime that is built in for it. */
  readonly name: string;
  /** The first word of its command line. */
  readonly program: string;
  /** The Python package that must be installed beside the program; null for a program of its own. */
  readonly pythonPackage: string | null;
}

/** The servers with a built-in runtime. */
export const ENGINES: readonly Engine[] = [
  { name: "llama-server", program: "llama-server", pythonPackage: null },
  { name: "vllm", program: "vllm", pythonPackage: "vllm" },
  { name: "sglang", program: "python3", pythonPackage: "sglang" },
];

/** The program of a known server, wherever it is: on the search path, else where people install such servers. Null: nowhere. */
export function findEngine({ program, pythonPackage }: Engine, searchPath: string, home: string = homedir()): string | null {
  const dirs = [...searchPath.split(":"), ...usualPlaces(home)];
  const found = dirs.flatMap((dir) => findProgram(program, dir) ?? []);
  if (pythonPackage === null) return found[0] ?? null;
  return found.find((path) => packageVersion(path, pythonPackage) !== null) ?? null;
}

/** The version of a package of the Python environment that a program lies in; null when it is not installed there. */
export function packageVersion(program: string, name: string): string | null {
  const lib = join(dirname(program), "..", "lib");
  for (const python of namesIn(lib).filter((entry) => entry.startsWith("python3"))) {
    for (const packages of ["site-packages", "dist-packages"]) {
      const pattern = new RegExp(`^${name}-(.+)\\.dist-info$`);
      const match = namesIn(join(lib, python, packages)).flatMap((entry) => pattern.exec(entry)?.[1] ?? [])[0];
      if (match !== undefined) return match;
    }
  }
  return null;
}

/** Folders of programs outside of the search path: of packages, of sources that were built, of virtual environments. */
function usualPlaces(home: string): readonly string[] {
  const roots = [home, "/opt", "/srv", "/usr/local"];
  const below = roots.flatMap((root) => [
    join(root, "bin"),
    join(root, "llama.cpp", "bin"),
    join(root, "llama.cpp", "build", "bin"),
    ...["vllm", "sglang", "venv", ".venv"].flatMap((name) => [
      join(root, name, "bin"),
      join(root, name, ".venv", "bin"),
      join(root, name, "venv", "bin"),
    ]),
  ]);
  const conda = ["miniconda3", "anaconda3", "miniforge3"].flatMap((name) =>
    [join(home, name), join("/opt", name)].flatMap((root) => [
      join(root, "bin"),
      ...namesIn(join(root, "envs")).map((environment) => join(root, "envs", environment, "bin")),
    ]),
  );
  const others = [join(home, ".local", "bin"), "/home/linuxbrew/.linuxbrew/bin", "/app", "/snap/bin"];
  return [...below, ...conda, ...others].filter(isDirectory);
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

function namesIn(dir: string): readonly string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}
