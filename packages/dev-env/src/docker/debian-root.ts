import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { mustRun } from "../processes/must-run.ts";
import { REPOSITORY } from "../processes/surroundings.ts";

const SUITE = "bookworm";
const CACHE = join(REPOSITORY, ".cache");
const MAKE_WITHIN_MS = 600_000;

/**
 * The root directory of a Debian with nothing but its essential packages, made once by debootstrap and kept under .cache:
 * copy it, change nothing in it. Needs root and debootstrap.
 */
export async function makeDebianRoot(): Promise<string> {
  if (process.getuid?.() !== 0) throw new Error("cannot make a minimal Debian root: debootstrap needs root; run this as root");
  const root = join(CACHE, `debian-${SUITE}-${process.arch}`);
  if (existsSync(root)) return root;
  // Made beside its place and renamed, so that an interrupted run leaves no half of it.
  const partial = `${root}.partial`;
  rmSync(partial, { recursive: true, force: true });
  mkdirSync(CACHE, { recursive: true });
  await mustRun(["debootstrap", "--variant=minbase", SUITE, partial], { withinMs: MAKE_WITHIN_MS });
  renameSync(partial, root);
  return root;
}
