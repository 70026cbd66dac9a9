import { type Deadline, isProcessAlive } from "@queen-and-hive/daemon";
import {
  compileValidator,
  type HiveStartAnswer,
  type HiveStatusAnswer,
  type HiveStopAnswer,
  hiveStartAnswerSchema,
  hiveStatusAnswerSchema,
  hiveStopAnswerSchema,
  QhError,
  type Validator,
} from "@queen-and-hive/protocol";
import { execa } from "execa";
import { readCommandAnswer } from "./command-answer.ts";
import { type Argv, startArgv, statusArgv, stopArgv } from "./hive-command.ts";
import type { Host } from "./host.ts";

/** What a local host needs to know. */
export interface LocalHostOptions {
  /** How the hive program is called. */
  readonly program: Argv;
  /** The hive's state directory, absolute. */
  readonly stateDir: string;
}

/** How much output of a command is kept, bytes. */
const OUTPUT_BYTES_MAX = 1_048_576;
/** How long a command that we gave up gets after TERM before KILL, milliseconds. */
const FORCE_KILL_AFTER_MS = 1_000;
/** How much earlier than our own deadline a command is told to be done, milliseconds: it then says itself what is wrong. */
const MARGIN_MS = 500;

const checkStart = compileValidator<HiveStartAnswer>(hiveStartAnswerSchema, "ignore");
const checkStatus = compileValidator<HiveStatusAnswer>(hiveStatusAnswerSchema, "ignore");
const checkStop = compileValidator<HiveStopAnswer>(hiveStopAnswerSchema, "ignore");

/** The queen's own machine: hive commands run as child processes. */
export function createLocalHost({ program, stateDir }: LocalHostOptions): Host {
  return {
    name: "local",
    start: (request, deadline, signal) =>
      run(startArgv(program, stateDir, deadline.remainingMs() - MARGIN_MS), checkStart, {
        input: JSON.stringify(request),
        deadline,
        signal,
      }),
    status: (deadline, signal) => run(statusArgv(program, stateDir), checkStatus, { input: "", deadline, signal }),
    stop: (stop, deadline, signal) =>
      run(stopArgv(program, stateDir, stop, deadline.remainingMs() - MARGIN_MS), checkStop, { input: "", deadline, signal }),
    isAlive: (identity) => isProcessAlive(identity),
  };
}

async function run<T>(
  argv: Argv,
  validate: Validator<T>,
  options: { readonly input: string; readonly deadline: Deadline; readonly signal: AbortSignal | undefined },
): Promise<T> {
  const [file, ...args] = argv;
  const command = argv.join(" ");
  using signal = options.deadline.signal(options.signal);
  const child = execa(file, args, {
    input: options.input,
    reject: false,
    cancelSignal: signal,
    forceKillAfterDelay: FORCE_KILL_AFTER_MS,
    maxBuffer: OUTPUT_BYTES_MAX,
    // A Ctrl-C in our terminal is ours to handle: the command must not die of it half-way.
    detached: true,
    cleanup: true,
  });
  const result = await Promise.race([child, aborted(signal)]);
  if (result === null || signal.aborted) {
    if (signal.reason instanceof QhError && signal.reason.kind !== "deadline_exceeded") throw signal.reason;
    throw new QhError("deadline_exceeded", `cannot finish "${command}" in time: it was ended; look at the hive's log`, {
      cause: signal.reason,
    });
  }
  if (result.exitCode === undefined && result.signal === undefined) {
    throw new QhError("host_unreachable", `cannot run "${command}": ${result.originalMessage ?? "it could not be started"}`, {
      cause: result.cause,
    });
  }
  return readCommandAnswer(
    command,
    { stdout: result.stdout, stderr: result.stderr, exitCode: result.exitCode ?? null },
    validate,
  );
}

/** Resolves null once the signal is aborted: execa itself would wait for whoever still holds the command's output. */
function aborted(signal: AbortSignal): Promise<null> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(null);
    else signal.addEventListener("abort", () => resolve(null), { once: true });
  });
}
