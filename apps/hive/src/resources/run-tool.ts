import type { ChildProcess } from "node:child_process";
import { type Clock, Deadline } from "@queen-and-hive/daemon/basics";
import { execa } from "execa";

/** What a tool of the machine said, or why it said nothing, as the end of a sentence. */
export type ToolAnswer = { readonly said: string } | { readonly failed: string };

/**
 * Runs a tool and returns what it printed. It is killed at its deadline and never waited for longer: `nvidia-smi` may hang
 * in the kernel, where no signal ends it. No other is started beside one that does not end. Never throws.
 */
export async function runTool(path: string, args: readonly string[], timeoutMs: number, clock: Clock): Promise<ToolAnswer> {
  const late: ToolAnswer = { failed: `${path} did not answer within ${timeoutMs} ms` };
  if (unended.has(path)) return late;
  const tool = execa(path, args, {
    stdin: "ignore",
    all: true,
    reject: false,
    maxBuffer: OUTPUT_CHARACTERS_MAX,
    env: { LC_ALL: "C" },
    // What ends with us hears no TERM either.
    killSignal: "SIGKILL",
  });
  using signal = Deadline.in(timeoutMs, clock).signal();
  const over = new Promise<null>((resolve) => signal.addEventListener("abort", () => resolve(null), { once: true }));
  const result = await Promise.race([tool, over]);
  if (result === null) {
    giveUp(path, tool.nodeChildProcess);
    return late;
  }
  if (result.exitCode === 0) return { said: result.all };
  const lastLine = (result.all ?? "").trim().split("\n").at(-1) ?? "";
  return { failed: `${path} ended with ${result.exitCode ?? result.signal ?? result.code ?? "nothing"}: ${lastLine}` };
}

const OUTPUT_CHARACTERS_MAX = 1_000_000;

/** The tools that were given up and still live, by path. */
const unended = new Map<string, Set<ChildProcess>>();

/** Kills a tool, and holds nothing of it any more: it must keep neither descriptors nor this process. */
function giveUp(path: string, tool: ChildProcess): void {
  tool.kill("SIGKILL");
  tool.stdout?.destroy();
  tool.stderr?.destroy();
  tool.unref();
  if (tool.exitCode !== null || tool.signalCode !== null) return;
  const others = unended.get(path) ?? new Set<ChildProcess>();
  unended.set(path, others.add(tool));
  tool.once("exit", () => {
    others.delete(tool);
    if (others.size === 0) unended.delete(path);
  });
}
