import { type CommandResult, describeCommand, runCommand } from "./run-command.ts";
import { callersEnvironment, REPOSITORY } from "./surroundings.ts";

/** How a command that has to succeed is run; with the surroundings of whoever runs the tests when nothing else is said. */
export interface MustRunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Text for its standard input. */
  readonly input?: string;
  /** After so many milliseconds it is killed. */
  readonly withinMs: number;
}

/** Runs a command to its end; throws, with its whole output, when it does not end with 0. */
export async function mustRun(argv: readonly string[], options: MustRunOptions): Promise<CommandResult> {
  const result = await runCommand(argv, { env: callersEnvironment(), cwd: REPOSITORY, ...options });
  if (result.exitCode !== 0) throw new Error(`cannot run ${describeCommand(argv, result)}`);
  return result;
}
