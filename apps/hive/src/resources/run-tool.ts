import { type Clock, Deadline } from "@queen-and-hive/daemon/basics";
import { execa } from "execa";

/** What a tool of the machine said, or why it said nothing, as the end of a sentence. */
export type ToolAnswer = { readonly said: string } | { readonly failed: string };

/**
 * Runs a tool and returns what it printed. It is killed at its deadline and never waited for longer: `nvidia-smi` may hang
 * in the kernel, where no signal ends it. Never throws.
 */
export async function runTool(path: string, args: readonly string[], timeoutMs: number, clock: Clock): Promise<ToolAnswer> {
  const tool = execa(path, args, {
    stdin: "ignore",
    all: true,
    reject: false,
    maxBuffer: OUTPUT_CHARACTERS_MAX,
    env: { LC_ALL: "C" },
  });
  using signal = Deadline.in(timeoutMs, clock).signal();
  const late = new Promise<null>((resolve) => signal.addEventListener("abort", () => resolve(null), { once: true }));
  const result = await Promise.race([tool, late]);
  if (result === null) {
    tool.kill("SIGKILL");
    return { failed: `${path} did not answer within ${timeoutMs} ms` };
  }
  if (result.exitCode === 0) return { said: result.all };
  const lastLine = (result.all ?? "").trim().split("\n").at(-1) ?? "";
  return { failed: `${path} ended with ${result.exitCode ?? result.signal ?? result.code ?? "nothing"}: ${lastLine}` };
}

const OUTPUT_CHARACTERS_MAX = 1_000_000;
