import { spawnSync } from "node:child_process";

/** How long a small system tool may take, milliseconds. */
const WITHIN_MS = 10_000;

/** Runs a system tool such as `ip` to its end and returns its output. Throws, with what it said, when it fails. */
export function runTool(argv: readonly string[]): string {
  const [file = "", ...args] = argv;
  const result = spawnSync(file, args, { encoding: "utf8", timeout: WITHIN_MS });
  if (result.status === 0) return result.stdout;
  const said = `${result.stderr ?? ""}${result.error?.message ?? ""}`.trim();
  throw new Error(`cannot run ${argv.join(" ")}: ${said === "" ? `exit code ${result.status}` : said}`);
}

/** The same where a failure means "not there": null then. */
export function tryTool(argv: readonly string[]): string | null {
  try {
    return runTool(argv);
  } catch {
    return null;
  }
}
