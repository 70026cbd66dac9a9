import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { temporaryDirectory } from "../files/temporary-directory.ts";
import type { ProgramEnd } from "./program.ts";

/** How a command is run. */
export interface CommandOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** Text for its standard input; without it there is none. */
  readonly input?: string;
  /** After so many milliseconds it is killed. */
  readonly withinMs?: number;
}

/** How a command ended. */
export interface CommandResult {
  /** Null when a signal ended it. */
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
  /** The JSON object of the last line of its output; null when that is none. */
  readonly json: unknown;
}

const DEFAULT_WITHIN_MS = 30_000;

/**
 * Runs a command to its end. Its output goes to files, so that a daemon that it leaves behind, holding its output by
 * mistake, delays nothing. Throws only when it cannot be executed at all.
 */
export async function runCommand(argv: readonly string[], options: CommandOptions): Promise<CommandResult> {
  await using scratch = await temporaryDirectory("qh-command");
  const outPath = scratch.join("out");
  const errPath = scratch.join("err");
  const { code, signal } = await runToEnd(argv, options, outPath, errPath);
  const stdout = readFileSync(outPath, "utf8");
  return { exitCode: code, signal, stdout, stderr: readFileSync(errPath, "utf8"), json: lastJson(stdout) };
}

async function runToEnd(argv: readonly string[], options: CommandOptions, outPath: string, errPath: string): Promise<ProgramEnd> {
  const [file = "", ...args] = argv;
  const out = openSync(outPath, "w");
  const err = openSync(errPath, "w");
  try {
    const child = spawn(file, args, {
      cwd: options.cwd,
      env: { ...options.env },
      stdio: [options.input === undefined ? "ignore" : "pipe", out, err],
      timeout: options.withinMs ?? DEFAULT_WITHIN_MS,
      killSignal: "SIGKILL",
    });
    // A command that ends without reading its input is no error of ours.
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(options.input);
    return await new Promise<ProgramEnd>((resolve, reject) => {
      child.on("error", reject);
      child.on("exit", (code, signal) => resolve({ code, signal }));
    });
  } finally {
    closeSync(out);
    closeSync(err);
  }
}

/** The words and the whole output of a command, for an error message. */
export function describeCommand(argv: readonly string[], result: CommandResult): string {
  const end = result.signal === null ? `exit code ${result.exitCode}` : result.signal;
  return `${argv.map((word) => (word.includes(" ") ? JSON.stringify(word) : word)).join(" ")}: ${end}\n${result.stdout}${result.stderr}`;
}

function lastJson(text: string): unknown {
  try {
    return JSON.parse(text.trimEnd().split("\n").at(-1) ?? "");
  } catch {
    return null;
  }
}
