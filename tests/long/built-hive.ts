import { existsSync } from "node:fs";
import { join } from "node:path";
import { REPOSITORY, runCommand, testEnvironment } from "@queen-and-hive/dev-env";

const BUILD_WITHIN_MS = 600_000;

/** What `npm run build:hive` makes. */
export const BUILT = {
  executable: join(REPOSITORY, "dist", `hive-linux-${process.arch}`),
  workerBundle: join(REPOSITORY, "dist", `hive-worker-linux-${process.arch}.tar.gz`),
} as const;

/** Builds both unless they are there and say that they are of this very commit. */
export async function buildHive(): Promise<void> {
  if (await isBuilt()) return;
  const { exitCode, stdout, stderr } = await run(["node", "scripts/build-hive.mjs"]);
  if (exitCode !== 0) throw new Error(`cannot build the hive: ${exitCode}\n${stdout}${stderr}`);
}

async function isBuilt(): Promise<boolean> {
  if (!existsSync(BUILT.executable) || !existsSync(BUILT.workerBundle)) return false;
  const head = (await run(["git", "rev-parse", "HEAD"])).stdout.trim();
  const isClean = (await run(["git", "status", "--porcelain", "--untracked-files=no"])).stdout === "";
  return isClean && (await run([BUILT.executable, "--version"])).stdout.endsWith(` (${head})\n`);
}

function run(argv: readonly string[]) {
  return runCommand(argv, { env: testEnvironment("/tmp"), cwd: REPOSITORY, withinMs: BUILD_WITHIN_MS });
}
