import { Deadline, isProcessAlive, signalProcess, waitForProcessEnd } from "@queen-and-hive/daemon";
import {
  compileValidator,
  type HiveStartAnswer,
  type HiveStartRequest,
  type HiveStatusAnswer,
  type HiveStopAnswer,
  hiveStartAnswerSchema,
  hiveStatusAnswerSchema,
  hiveStopAnswerSchema,
  type Validator,
} from "@queen-and-hive/protocol";
import { type CommandResult, describeCommand, runCommand } from "../processes/run-command.ts";

const isStartAnswer = compileValidator<HiveStartAnswer>(hiveStartAnswerSchema, "refuse");
const isStatusAnswer = compileValidator<HiveStatusAnswer>(hiveStatusAnswerSchema, "refuse");
const isStopAnswer = compileValidator<HiveStopAnswer>(hiveStopAnswerSchema, "refuse");

const KILL_WITHIN_MS = 5_000;

/** Where and as whom the commands of one hive run. */
export interface HivePlace {
  readonly stateDir: string;
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** The words that start the program: the checkout's sources or an executable. */
  readonly command: readonly string[];
}

/** The `hive` commands on one state directory, as a person or a queen runs them, their answers checked by schema. */
export class HiveCommands {
  readonly place: HivePlace;

  constructor(place: HivePlace) {
    this.place = place;
  }

  /** Runs `hive <args> --state-dir ...` and says how it went. */
  run(args: readonly string[], input?: string): Promise<CommandResult> {
    const { command, stateDir, env, cwd } = this.place;
    const words = [...command, ...args, "--state-dir", stateDir];
    return runCommand(words, { env, cwd, ...(input === undefined ? {} : { input }) });
  }

  /** `hive start --json`, with the request on standard input. Throws with the command's whole output when it fails. */
  async start(request: HiveStartRequest = {}): Promise<HiveStartAnswer> {
    return await this.#answer(["start", "--json"], isStartAnswer, JSON.stringify(request));
  }

  /** `hive stop --json`. Throws when it fails. */
  async stop(flags: readonly string[] = []): Promise<HiveStopAnswer> {
    return await this.#answer(["stop", "--json", ...flags], isStopAnswer);
  }

  /** `hive status --json`. Throws when it fails. */
  async status(): Promise<HiveStatusAnswer> {
    return await this.#answer(["status", "--json"], isStatusAnswer);
  }

  /** `kill -9` of the daemon alone, by identity; returns when it is gone. False when none ran. */
  async kill(): Promise<boolean> {
    const { identity } = await this.status();
    if (identity === null || !isProcessAlive(identity)) return false;
    signalProcess(identity, "SIGKILL");
    return await waitForProcessEnd(identity, Deadline.in(KILL_WITHIN_MS));
  }

  async #answer<T>(args: readonly string[], check: Validator<T>, input?: string): Promise<T> {
    const result = await this.run(args, input);
    const checked = check(result.json);
    if (result.exitCode === 0 && checked.ok) return checked.value;
    const problems = checked.ok ? "" : `\nits last line is no such answer: ${JSON.stringify(checked.problems)}`;
    throw new Error(`cannot run the command: ${describeCommand([...this.place.command, ...args], result)}${problems}`);
  }
}
