import type { Deadline } from "@queen-and-hive/daemon";
import {
  compileValidator,
  type HiveStartAnswer,
  type HiveStartRequest,
  type HiveStatusAnswer,
  type HiveStopAnswer,
  hiveStartAnswerSchema,
  hiveStatusAnswerSchema,
  hiveStopAnswerSchema,
  QhError,
  type Validator,
} from "@queen-and-hive/protocol";
import { hasAnswered, readCommandAnswer } from "./command-answer.ts";
import { checkoutHive, type HiveStop, installedHive, startArgv, statusArgv, stopArgv } from "./hive-argv.ts";
import type { Argv, Host } from "./host.ts";
import { hiveStateDir, hostPath } from "./host-path.ts";

/** Where a hive lives on its host. */
export interface HivePlace {
  readonly hiveId: string;
  /** Where its program is installed; null means this checkout's hive, which only this machine has. */
  readonly installDir: string | null;
  /** Its state directory, `~` being our home there; null means the default of that machine. */
  readonly stateDir: string | null;
}

/**
 * The hive's own commands on its host. Each throws the error kind that the command printed, what `exec` throws, and
 * `hive_not_installed` or `host_unreachable` when it answered nothing that can be trusted.
 */
export interface HiveCommands {
  /** Starts the hive, or adopts the one that runs. */
  start(request: HiveStartRequest, deadline: Deadline, signal?: AbortSignal): Promise<HiveStartAnswer>;
  /** What runs there. */
  status(deadline: Deadline, signal?: AbortSignal): Promise<HiveStatusAnswer>;
  /** Stops the hive with proof. */
  stop(stop: HiveStop, deadline: Deadline, signal?: AbortSignal): Promise<HiveStopAnswer>;
}

/** How much earlier than our own deadline a command is told to be done, milliseconds: it then says itself what is wrong. */
const MARGIN_MS = 500;
/** Exit codes of shells for a program that is not there or cannot be executed (POSIX, 2.8.2). */
const NO_PROGRAM: ReadonlySet<number | null> = new Set([126, 127]);

const checkStart = compileValidator<HiveStartAnswer>(hiveStartAnswerSchema, "ignore");
const checkStatus = compileValidator<HiveStatusAnswer>(hiveStatusAnswerSchema, "ignore");
const checkStop = compileValidator<HiveStopAnswer>(hiveStopAnswerSchema, "ignore");

/** The commands of one hive on its host. */
export function createHiveCommands(host: Host, place: HivePlace): HiveCommands {
  const run = async <T>(
    words: (program: Argv, stateDir: string) => Argv,
    validate: Validator<T>,
    options: { readonly input?: string; readonly deadline: Deadline; readonly signal: AbortSignal | undefined },
  ): Promise<T> => {
    const { program, stateDir } = await locate(host, place, options.deadline, options.signal);
    const argv = words(program, stateDir);
    const end = await host.exec(argv, options);
    if (NO_PROGRAM.has(end.exitCode) && !hasAnswered(end)) {
      throw new QhError(
        "hive_not_installed",
        `cannot run ${program.join(" ")} on ${host.name}: it is not there or cannot be executed; install the hive there`,
        { details: { exit_code: end.exitCode, stderr: end.stderr.trim().slice(-500) } },
      );
    }
    return readCommandAnswer(`${argv.join(" ")} (on ${host.name})`, end, validate);
  };
  return {
    start: (request, deadline, signal) =>
      run((program, stateDir) => startArgv(program, stateDir, deadline.remainingMs() - MARGIN_MS), checkStart, {
        input: JSON.stringify(request),
        deadline,
        signal,
      }),
    status: (deadline, signal) => run(statusArgv, checkStatus, { deadline, signal }),
    stop: (stop, deadline, signal) =>
      run((program, stateDir) => stopArgv(program, stateDir, stop, deadline.remainingMs() - MARGIN_MS), checkStop, {
        deadline,
        signal,
      }),
  };
}

async function locate(
  host: Host,
  { hiveId, installDir, stateDir }: HivePlace,
  deadline: Deadline,
  signal: AbortSignal | undefined,
): Promise<{ readonly program: Argv; readonly stateDir: string }> {
  const facts = await host.facts(deadline, signal);
  return {
    program: installDir === null ? checkoutHive() : installedHive(hostPath(installDir, facts)),
    stateDir: hiveStateDir({ id: hiveId, stateDir }, facts),
  };
}
