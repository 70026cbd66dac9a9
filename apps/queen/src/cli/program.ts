import { COMMAND_EXIT } from "@queen-and-hive/protocol";
import { Command, CommanderError, InvalidArgumentError } from "commander";
import { processSurroundings } from "../config/load.ts";
import { QUEEN_VERSION } from "../version.ts";
import { explainError } from "./explain-error.ts";
import { addHiveCommands } from "./hive-program.ts";
import type { LogFlags } from "./worker-logs.ts";

/** Options that every command has. */
export interface CommonOptions {
  readonly config?: string;
  readonly url?: string;
  readonly json?: boolean;
}

/**
 * Runs one command line and returns its exit code: 0 done, 1 failed, 2 misused, 78 bad configuration. Each command imports
 * only what it needs, when it runs.
 */
export async function queenProgram(args: readonly string[]): Promise<number> {
  let exitCode: number = COMMAND_EXIT.done;
  const around = processSurroundings();
  const program = new Command("queen")
    .description("One OpenAI-compatible endpoint for all of your GPU machines.")
    .version(`queen ${QUEEN_VERSION}`, "-V, --version", "print name and version")
    .exitOverride()
    .showHelpAfterError("(queen --help lists the commands)");
  const run =
    <Args extends readonly unknown[]>(work: (...args: Args) => Promise<number>) =>
    async (...given: Args): Promise<void> => {
      exitCode = await work(...given);
    };

  configured(program.command("serve"))
    .description("serve clients, start and watch hives; Ctrl-C stops everything that was started")
    .action(run(async (options: CommonOptions) => (await import("./serve.ts")).serve(options, around)));
  remote(program.command("status"))
    .description("how the queen and her hives are")
    .option("--watch", "again and again until Ctrl-C")
    .action(run(async (options: CommonOptions & { watch?: boolean }) => (await import("./status.ts")).status(options, around)));
  remote(program.command("ps"))
    .description("every worker of every hive")
    .action(run(async (options: CommonOptions) => (await import("./ps.ts")).ps(options, around)));
  remote(program.command("down"))
    .description("stop the queen, her hives and their workers, and say what became of each")
    .option("--keep", "leave hives and workers running for the next queen")
    .action(run(async (options: CommonOptions & { keep?: boolean }) => (await import("./down.ts")).down(options, around)));
  remote(program.command("events"))
    .description("the journal: what happened to hives, workers and configuration (the newest 1,000)")
    .option("-f, --follow", "go on with what happens from now on")
    .action(run(async (options: CommonOptions & { follow?: boolean }) => (await import("./events.ts")).events(options, around)));
  remote(program.command("run"))
    .description("ask a model and print its answer as it comes")
    .argument("<model>", "id or alias of a model")
    .argument("<prompt>", "what to say to it")
    .option("--max-tokens <n>", "at most this many tokens", readTokens)
    .action(
      run(async (model: string, prompt: string, options: CommonOptions & { maxTokens?: number }) =>
        (await import("./run.ts")).run(model, prompt, options, around),
      ),
    );
  addLogCommand(program.command("logs"), "the output of all workers of a model", "<model>", "id of a model").action(
    run(async (model: string, flags: LogFlags) => (await import("./worker-logs.ts")).modelLogs(model, flags, around)),
  );
  const worker = program.command("worker").description("look at single workers");
  addLogCommand(worker.command("logs"), "a worker's own output", "<worker>", "id of a worker").action(
    run(async (id: string, flags: LogFlags) => (await import("./worker-logs.ts")).workerLogs(id, flags, around)),
  );
  configured(program.command("doctor"))
    .description("look at the hosts of hives and say what is wrong there and what to do; changes nothing")
    .argument("[hives...]", "ids of hives; all when none is named")
    .option("--json", "print JSON for programs")
    .action(run(async (ids: string[], options: CommonOptions) => (await import("./doctor.ts")).doctor(ids, options, around)));
  addHiveCommands(program, { around, configured, remote, run });
  const config = program.command("config").description("look at the configuration");
  configured(config.command("check"))
    .description("check the configuration and name what is wrong or has no effect yet")
    .action(run(async (options: CommonOptions) => (await import("./config.ts")).configCheck(options, around)));
  configured(config.command("show"))
    .description("print the configuration in effect, without secrets")
    .option("--origin", "say where each value came from")
    .option("--json", "print JSON")
    .action(
      run(async (options: CommonOptions & { origin?: boolean }) => (await import("./config.ts")).configShow(options, around)),
    );

  try {
    await program.parseAsync([...args], { from: "user" });
    return exitCode;
  } catch (error) {
    // Commander has printed its own message, help or version.
    if (error instanceof CommanderError) return error.exitCode === 0 ? COMMAND_EXIT.done : COMMAND_EXIT.misused;
    return explainError(error, args.includes("--json"));
  }
}

function configured(command: Command): Command {
  return command.option("--config <file>", "configuration file (else QUEEN_CONFIG, ./queen.yaml, ~/.config/queen/queen.yaml)");
}

function remote(command: Command): Command {
  return configured(command)
    .option("--url <url>", "address of a queen elsewhere; QUEEN_KEY is her key", readUrl)
    .option("--json", "print JSON for programs");
}

function addLogCommand(command: Command, what: string, argument: string, about: string): Command {
  return remote(command)
    .description(`${what}: the last lines`)
    .argument(argument, about)
    .option("--tail <lines>", "so many lines", readLines)
    .option("-f, --follow", "go on with what is written from now on, until Ctrl-C or the end of the worker");
}

function readLines(text: string): string {
  if (/^[0-9]{1,6}$/.test(text)) return text;
  throw new InvalidArgumentError("Write a number of lines such as 100.");
}

function readUrl(text: string): string {
  if (/^https?:\/\//.test(text) && URL.canParse(text)) return text;
  throw new InvalidArgumentError("Write an address such as http://127.0.0.1:8080.");
}

function readTokens(text: string): number {
  if (/^[1-9][0-9]{0,8}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("Write a whole number of tokens such as 100.");
}
