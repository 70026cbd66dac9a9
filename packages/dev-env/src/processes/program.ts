import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync } from "node:fs";
import { Deadline, isProcessAlive, type ProcessIdentity, readProcessIdentity, signalProcess } from "@queen-and-hive/daemon";
import { until } from "../clock/until.ts";

/** How a program ended. */
export interface ProgramEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A program that runs beside the test; a scope's end kills it when it still lives. */
export interface Program extends AsyncDisposable {
  readonly identity: ProcessIdentity;
  /** All that it has written to stdout and stderr so far. */
  output(): string;
  /** Null while it runs. */
  end(): ProgramEnd | null;
  send(signal: NodeJS.Signals): void;
  /** Waits for its end; throws, with its output, when the deadline comes first. */
  ended(within?: Deadline | number): Promise<ProgramEnd>;
}

/** What a program is started with. */
export interface ProgramOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** The file that takes its output; appended to. */
  readonly logFile: string;
}

const DEFAULT_END_MS = 30_000;

/** Starts a program as our child, in our process group, with its output in a file. Throws when it cannot be executed. */
export async function startProgram(argv: readonly string[], options: ProgramOptions): Promise<Program> {
  const [file = "", ...args] = argv;
  const log = openSync(options.logFile, "a");
  const child = spawn(file, args, { cwd: options.cwd, env: { ...options.env }, stdio: ["ignore", log, log] });
  closeSync(log);
  let end: ProgramEnd | null = null;
  child.on("exit", (code, signal) => {
    end = { code, signal };
  });
  await once(child, "spawn");
  const output = (): string => readFileSync(options.logFile, "utf8");
  const identity = child.pid === undefined ? null : readProcessIdentity(child.pid);
  if (identity === null) throw new Error(`cannot start ${argv.join(" ")}: it ended at once\n${output()}`);
  const ended = async (within: Deadline | number = DEFAULT_END_MS): Promise<ProgramEnd> => {
    await until(() => end !== null, within, `the end of ${argv.join(" ")}`).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${output()}`, { cause: error });
    });
    return end ?? { code: null, signal: null };
  };
  return {
    identity,
    output,
    end: () => end,
    send: (signal) => void signalProcess(identity, signal),
    ended,
    [Symbol.asyncDispose]: async () => {
      if (isProcessAlive(identity)) signalProcess(identity, "SIGKILL");
      await ended(Deadline.in(DEFAULT_END_MS));
    },
  };
}
