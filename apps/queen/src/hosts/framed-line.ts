import type { CommandEnd } from "./host.ts";

/**
 * The one line of a command's output that is trusted: the last one that follows our mark. Banners of login shells and
 * whatever else was printed before are left aside. Null when there is none.
 */
export function framedLine(stdout: string, mark: string): string | null {
  const line = stdout.split("\n").findLast((text) => text.startsWith(`${mark} `));
  return line === undefined ? null : line.slice(mark.length + 1);
}

/** What a command said last on its standard error, for a message. */
export function lastWords({ stderr, exitCode }: CommandEnd): string {
  const said = stderr.trim().split("\n").slice(-5).join(" | ");
  return `exit code ${exitCode ?? "none"}${said === "" ? "" : `: ${said}`}`;
}
