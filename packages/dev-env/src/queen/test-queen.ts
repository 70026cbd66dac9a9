import { writeFile } from "node:fs/promises";
import { createPeer, type Deadline, type Peer } from "@queen-and-hive/daemon";
import { type HiveList, QUEEN_ENDPOINTS, type QueenConfigInput } from "@queen-and-hive/protocol";
import { stringify } from "yaml";
import { until } from "../clock/until.ts";
import { temporaryDirectory } from "../files/temporary-directory.ts";
import { HiveCommands } from "../hive/hive-commands.ts";
import { freePort, freePortRange } from "../net/free-port.ts";
import { giveUp } from "../processes/give-up.ts";
import { killAtExit } from "../processes/kill-at-exit.ts";
import { expectNoProcesses } from "../processes/leave-nothing.ts";
import { type FoundProcess, processesOf } from "../processes/processes-of.ts";
import { type Program, type ProgramEnd, startProgram } from "../processes/program.ts";
import { type CommandResult, runCommand } from "../processes/run-command.ts";
import { programCommand, testEnvironment } from "../processes/surroundings.ts";
import { fakeRuntime } from "./fake-runtime.ts";

const WORKER_PORTS = 30;
const LIVE_WITHIN_MS = 60_000;
const RUNNING_WITHIN_MS = 30_000;
const END_WITHIN_MS = 45_000;
const CALL_TIMEOUT_MS = 60_000;

/** What a test queen is to be; everything has a default. */
export interface TestQueenOptions {
  /** Laid over the test's own, key by key: a free port, hives of its own, the runtime `fake`, short stops. */
  readonly config?: QueenConfigInput;
  /** The ids of her local hives, each with ports and a state directory of its own; ["local"] when not given. */
  readonly hives?: readonly string[];
  /** The key that calls of the test carry; none when not given. */
  readonly key?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** True: her hives' program is `<folder>/program/current/hive`, which the test puts there. */
  readonly ownHiveProgram?: boolean;
  /** False: the configuration is written and the test starts her. */
  readonly start?: boolean;
}

/** A real queen, started like a service, with state of her own. The scope's end stops her and proves that nothing is left. */
export interface TestQueen extends AsyncDisposable {
  readonly url: string;
  readonly config: QueenConfigInput;
  readonly configFile: string;
  readonly stateDir: string;
  /** The folder around all state of her and her hives. */
  readonly folder: string;
  /** Calls her with the key of the options. */
  readonly peer: Peer;
  /** The running program. Throws when there is none. */
  readonly program: Program;
  /** Starts her (again) and waits until `/livez` answers. */
  start(): Promise<void>;
  /** Waits until all of her hives, or the named ones, are running. */
  hivesRunning(ids?: readonly string[], within?: Deadline | number): Promise<void>;
  /** Sends a signal (SIGINT when not given) and waits for her end. */
  stop(signal?: NodeJS.Signals, within?: Deadline | number): Promise<ProgramEnd>;
  /** Runs `queen <args> --config <hers>`. */
  command(args: readonly string[]): Promise<CommandResult>;
  /** The `hive` commands on the state directory of one of her hives. */
  hive(id: string): HiveCommands;
  /** Every process that has to do with her: herself, hives, workers, what they left. */
  processes(): readonly FoundProcess[];
}

/** Writes a configuration into a temporary folder and runs `queen serve` with it. */
export async function startTestQueen(options: TestQueenOptions = {}): Promise<TestQueen> {
  const directory = await temporaryDirectory("qh-queen");
  const guard = killAtExit(directory.path);
  const config = await completeConfig(options, directory.path);
  const configFile = directory.join("queen.yaml");
  await writeFile(configFile, stringify(config));
  const url = `http://${config.listen?.[0] ?? ""}`;
  const env = testEnvironment(directory.path, options.env);
  const peer = createPeer({ url, token: () => options.key ?? null, name: "queen", timeoutMs: CALL_TIMEOUT_MS, maxSockets: 256 });
  let program: Program | null = null;
  const queen: TestQueen = {
    url,
    config,
    configFile,
    stateDir: config.state_dir ?? directory.join("queen"),
    folder: directory.path,
    peer,
    get program() {
      if (program === null) throw new Error("cannot reach the queen's program: the test has not started it");
      return program;
    },
    start: async () => {
      const argv = [...programCommand("queen"), "serve", "--config", configFile];
      program = await startProgram(argv, { env, cwd: directory.path, logFile: directory.join("queen.log") });
      await waitForLivez(url, program);
    },
    hivesRunning: (ids = hiveIdsOf(config), within = RUNNING_WITHIN_MS) => waitForHives(queen, ids, within),
    stop: async (signal = "SIGINT", within = END_WITHIN_MS) => {
      queen.program.send(signal);
      return await queen.program.ended(within);
    },
    command: (args) => runCommand([...programCommand("queen"), ...args, "--config", configFile], { env, cwd: directory.path }),
    hive: (id) => hiveCommandsOf(config, id, directory.path, env),
    processes: () => processesOf({ folder: directory.path }),
    [Symbol.asyncDispose]: async () => {
      try {
        await stopAndProve(queen, program);
      } finally {
        guard[Symbol.dispose]();
        await directory[Symbol.asyncDispose]();
      }
    },
  };
  if (options.start !== false) await queen.start().catch((error: unknown) => giveUp(queen, error));
  return queen;
}

async function completeConfig(options: TestQueenOptions, folder: string): Promise<QueenConfigInput> {
  const hives: NonNullable<QueenConfigInput["hives"]> = [];
  for (const id of options.hives ?? ["local"]) {
    const listen = `127.0.0.1:${await freePort()}`;
    const { text } = await freePortRange(WORKER_PORTS);
    const program = options.ownHiveProgram === true ? { install_dir: `${folder}/program` } : {};
    hives.push({ id, host: "local", listen, worker_ports: text, state_dir: `${folder}/hive-${id}`, ...program });
  }
  const { runtimes, ...config } = options.config ?? {};
  return {
    listen: [`127.0.0.1:${await freePort()}`],
    state_dir: `${folder}/queen`,
    hives,
    runtimes: { fake: fakeRuntime(), ...runtimes },
    shutdown: { budget: "15s", drain: "2s" },
    stop: { term: "2s", verify: "2s" },
    ...config,
  };
}

async function waitForLivez(url: string, program: Program): Promise<void> {
  const answers = async (): Promise<boolean> => (await fetch(`${url}/livez`)).ok;
  const ended = (): boolean => program.end() !== null;
  const failed = (why: string, cause?: unknown): Error =>
    new Error(`cannot start the test queen: ${why}\n${program.output()}`, { cause });
  await until(async () => ended() || (await answers()), LIVE_WITHIN_MS, `${url}/livez`).catch((error: unknown) => {
    throw failed("she does not answer", error);
  });
  if (ended()) throw failed(`she ended with ${JSON.stringify(program.end())}`);
}

async function waitForHives(queen: TestQueen, ids: readonly string[], within: Deadline | number): Promise<void> {
  const running = async (): Promise<boolean> => {
    const { hives }: HiveList = await queen.peer.call(QUEEN_ENDPOINTS.listHives);
    return ids.every((id) => hives.some((hive) => hive.hive_id === id && hive.state === "running"));
  };
  await until(running, within, `the hives ${ids.join(", ")} to be running`).catch((error: unknown) => {
    throw new Error(`${String(error)}\n${queen.program.output()}`, { cause: error });
  });
}

function hiveIdsOf(config: QueenConfigInput): readonly string[] {
  return (config.hives ?? []).map((hive) => hive.id);
}

function hiveCommandsOf(config: QueenConfigInput, id: string, cwd: string, env: Readonly<Record<string, string>>): HiveCommands {
  const stateDir = config.hives?.find((hive) => hive.id === id)?.state_dir;
  if (stateDir === undefined) throw new Error(`cannot find the hive ${id} with a state_dir in the test queen's configuration`);
  return new HiveCommands({ stateDir, env, cwd, command: programCommand("hive") });
}

/** Stops her as Ctrl-C does; hives that a killed queen or `on_queen_exit: keep` has left are stopped one by one. */
async function stopAndProve(queen: TestQueen, program: Program | null): Promise<void> {
  if (program !== null && program.end() === null) await queen.stop();
  for (const { id, host = "local" } of queen.config.hives ?? []) {
    // Hives on other hosts are the business of whoever made those.
    if (host !== "local") continue;
    const { stateDir } = queen.hive(id).place;
    if (processesOf({ folder: stateDir }).length > 0) await queen.hive(id).stop();
  }
  await expectNoProcesses({ folder: queen.folder });
}
