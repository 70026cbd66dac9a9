import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { versionLine } from "./build-info.ts";
import type { CommandResult } from "./output.ts";

/** How long a start may take when nothing else is said, in milliseconds. */
const START_MS = 15_000;
/** How long a stop may take when nothing else is said, in milliseconds. */
const STOP_MS = 30_000;

interface CommonFlags {
  readonly json?: boolean;
  readonly stateDir?: string;
}

/** Runs the command that the words name; returns the exit code. Each command brings its own imports, so that none pays for another. */
export async function runProgram(words: readonly string[]): Promise<number> {
  let exitCode = 0;
  const program = buildProgram(words, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync([...words], { from: "user" });
    return exitCode;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // Help and version end the parsing too, and must not wait for what only a misuse needs.
    if (error.exitCode === 0) return 0;
    const { COMMAND_EXIT } = await import("@queen-and-hive/protocol");
    return COMMAND_EXIT.misused;
  }
}

function buildProgram(words: readonly string[], exit: (code: number) => void): Command {
  const program = new Command("hive")
    .description("Starts, tracks and stops the worker processes of this machine, and tells the queen what happens to them.")
    .version(versionLine(), "-v, --version", "print name, version and commit")
    .helpCommand(false)
    .exitOverride()
    .configureHelp({ sortSubcommands: false })
    .addHelpText("after", EXIT_CODES);
  addDaemonCommands(program, words, exit);
  addWorkerCommands(program, exit);
  return program;
}

const EXIT_CODES = `
Exit codes: 0 done, 1 failed, 2 misused, 75 taken (another hive or another queen), 78 bad configuration.
With --json the last line on standard output is one JSON object: the answer, or {"error": ...}.
The state directory is --state-dir, else HIVE_STATE_DIR, else ~/.local/state/hive/<machine-id>-<hive_id>.`;

function addDaemonCommands(program: Command, words: readonly string[], exit: (code: number) => void): void {
  program
    .command("run")
    .description("run the daemon in the foreground")
    .option("--config <file>", "configuration file (YAML)")
    .option("--state-dir <dir>", "state directory")
    .addOption(new Option("--handshake-fd <n>", "descriptor on which to say that it listens").argParser(wholeNumber).hideHelp())
    .addOption(new Option("--locked", "set after taking the lock").hideHelp())
    .action(
      async (
        flags: Omit<CommonFlags, "json"> & { readonly config?: string; readonly handshakeFd?: number; readonly locked?: boolean },
      ) => {
        const { run } = await import("./run.ts");
        exit(await run(flags, words));
      },
    );
  withCommonFlags(program.command("start"))
    .description("start the daemon in the background, or find the one that runs")
    .option("--config <file>", "configuration file (YAML), kept for later starts")
    .addOption(deadlineOption(START_MS))
    .addHelpText(
      "after",
      "\nWith --json a start request is read on standard input: {config, secrets: {token}, queen}; an empty input is fine.",
    )
    .action(async (flags: CommonFlags & { readonly config?: string; readonly deadlineMs: number }) => {
      exit(await report(flags, async () => (await import("./start.ts")).start({ ...flags, json: flags.json === true })));
    });
  withCommonFlags(program.command("stop"))
    .description("stop the daemon and its workers, proven by process identity")
    .option("--keep-workers", "leave the workers for the next start")
    .option("--queen-id <id>", "only if this queen owns the hive")
    .addOption(deadlineOption(STOP_MS))
    .action(
      async (flags: CommonFlags & { readonly keepWorkers?: boolean; readonly queenId?: string; readonly deadlineMs: number }) => {
        exit(
          await report(flags, async () =>
            (await import("./stop.ts")).stop({ ...flags, keepWorkers: flags.keepWorkers === true }),
          ),
        );
      },
    );
  withCommonFlags(program.command("status"))
    .description("say what runs; changes nothing")
    .action(async (flags: CommonFlags) => {
      exit(await report(flags, async () => (await import("./status.ts")).status(flags)));
    });
  withCommonFlags(program.command("doctor"))
    .description("say which devices, inference servers and how much room this machine has; changes nothing")
    .option("--config <file>", "configuration file (YAML)")
    .action(async (flags: CommonFlags & { readonly config?: string }) => {
      exit(await report(flags, async () => (await import("./doctor.ts")).doctor(flags)));
    });
}

function addWorkerCommands(program: Command, exit: (code: number) => void): void {
  const worker = program.command("worker").description("look at the workers of the running hive").helpCommand(false);
  withCommonFlags(worker.command("ls"))
    .description("list the workers")
    .action(async (flags: CommonFlags) => {
      exit(await report(flags, async () => (await import("./worker-ls.ts")).workerLs(flags)));
    });
  withCommonFlags(worker.command("logs"))
    .description("print the last lines of a worker's output, and with --follow what it writes then")
    .argument("<worker-id>")
    .addOption(new Option("--tail <lines>", "how many of the last lines").argParser(wholeNumber))
    .option("-f, --follow", "go on with what the worker writes, over its restarts, until it is gone or Ctrl-C")
    .addHelpText("after", "\nWith --follow and --json each line is one JSON object: {worker_id, line}.")
    .action(async (workerId: string, flags: CommonFlags & { readonly tail?: number; readonly follow?: boolean }) => {
      exit(
        await report(flags, async () => {
          if (flags.follow === true) return await (await import("./worker-logs-follow.ts")).followWorkerLogs(workerId, flags);
          return await (await import("./worker-logs.ts")).workerLogs(workerId, flags);
        }),
      );
    });
  program
    .command("worker-main", { hidden: true })
    .argument("<file>")
    .action(async (file: string) => {
      const { workerMain } = await import("./worker-main.ts");
      await workerMain(file);
      // The worker decides when this process ends.
      await new Promise<never>(() => undefined);
    });
}

function withCommonFlags(command: Command): Command {
  return command.option("--json", "print one JSON object for programs").option("--state-dir <dir>", "state directory");
}

function deadlineOption(ms: number): Option {
  return new Option("--deadline-ms <ms>", "how long it may take").argParser(wholeNumber).default(ms);
}

function wholeNumber(text: string): number {
  if (!/^[0-9]{1,9}$/.test(text)) throw new InvalidArgumentError("write a whole number.");
  return Number(text);
}

async function report(flags: CommonFlags, command: () => Promise<CommandResult>): Promise<number> {
  const { runCommand } = await import("./output.ts");
  return runCommand({ json: flags.json === true }, command);
}
