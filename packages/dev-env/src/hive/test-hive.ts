import { randomBytes } from "node:crypto";
import { createPeer, isProcessAlive, type Peer } from "@queen-and-hive/daemon";
import type { HiveConfigInput, HiveStartAnswer, HiveStartRequest, QueenAddress } from "@queen-and-hive/protocol";
import { temporaryDirectory } from "../files/temporary-directory.ts";
import { freePort, freePortRange } from "../net/free-port.ts";
import { giveUp } from "../processes/give-up.ts";
import { killAtExit } from "../processes/kill-at-exit.ts";
import { expectNoProcesses } from "../processes/leave-nothing.ts";
import { type FoundProcess, processesOf } from "../processes/processes-of.ts";
import { programCommand, testEnvironment } from "../processes/surroundings.ts";
import { HiveCommands } from "./hive-commands.ts";

const WORKER_PORTS = 20;
const CALL_TIMEOUT_MS = 10_000;

/** What a test hive is to be; everything has a default. */
export interface TestHiveOptions {
  readonly hiveId?: string;
  /** Laid over the test's own: a free port, free worker ports, quick call-backs. */
  readonly config?: HiveConfigInput;
  /** Whom it belongs to from the start. */
  readonly queen?: QueenAddress;
  /** The hive's token; a random one when not given. */
  readonly token?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** The words that start the program; the checkout's sources when not given. */
  readonly command?: readonly string[];
  /** False: only the folder and the commands are made, and the test starts it. */
  readonly start?: boolean;
}

/** A real hive daemon with a state directory of its own. The scope's end stops it and proves that nothing is left. */
export interface TestHive extends AsyncDisposable {
  readonly hiveId: string;
  readonly token: string;
  readonly stateDir: string;
  /** The folder around the state directory, for a test's own files. */
  readonly folder: string;
  readonly config: HiveConfigInput;
  readonly commands: HiveCommands;
  /** Where it listens; the same over all of its starts. */
  readonly url: string;
  /** Calls it with its token. */
  readonly peer: Peer;
  /** The answer of the last start. Throws when it has not been started. */
  readonly identity: HiveStartAnswer;
  /** `hive start` with this hive's configuration and secrets; more of the request can be given. */
  start(more?: Partial<HiveStartRequest>): Promise<HiveStartAnswer>;
  /** Every process that has to do with this hive: the daemon, its workers, what they left. */
  processes(): readonly FoundProcess[];
}

/** Starts one through `hive start --json`, as a queen does. */
export async function startTestHive(options: TestHiveOptions = {}): Promise<TestHive> {
  const directory = await temporaryDirectory("qh-hive");
  const guard = killAtExit(directory.path);
  const stateDir = directory.join("state");
  const hiveId = options.hiveId ?? "test";
  const token = options.token ?? randomBytes(24).toString("hex");
  const config: HiveConfigInput = {
    hive_id: hiveId,
    listen: `127.0.0.1:${await freePort()}`,
    worker_ports: (await freePortRange(WORKER_PORTS)).text,
    callback: { first: "50ms", max: "500ms" },
    ...options.config,
  };
  const url = `http://${config.listen}`;
  const commands = new HiveCommands({
    stateDir,
    cwd: directory.path,
    env: testEnvironment(directory.path, options.env),
    command: options.command ?? programCommand("hive"),
  });
  const peer = createPeer({ url, token: () => token, name: hiveId, timeoutMs: CALL_TIMEOUT_MS, maxSockets: 64 });
  let identity: HiveStartAnswer | null = null;
  const hive: TestHive = {
    hiveId,
    token,
    stateDir,
    folder: directory.path,
    config,
    commands,
    url,
    peer,
    get identity() {
      if (identity === null) throw new Error("cannot say who this hive is: the test has not started it");
      return identity;
    },
    start: async (more = {}) => {
      const queen = options.queen === undefined ? {} : { queen: options.queen };
      identity = await commands.start({ config, secrets: { token }, ...queen, ...more });
      return identity;
    },
    processes: () => processesOf({ folder: directory.path }),
    [Symbol.asyncDispose]: async () => {
      try {
        await stopAndProve(hive, identity);
      } finally {
        guard[Symbol.dispose]();
        await directory[Symbol.asyncDispose]();
      }
    },
  };
  if (options.start !== false) await hive.start().catch((error: unknown) => giveUp(hive, error));
  return hive;
}

async function stopAndProve(hive: TestHive, identity: HiveStartAnswer | null): Promise<void> {
  if (identity !== null && hive.processes().length > 0) {
    const answer = await hive.commands.stop();
    if (answer.left.length > 0)
      throw new Error(`cannot stop the test hive whole: it says that it left ${answer.left.join(", ")}`);
    if (isProcessAlive(identity)) throw new Error(`cannot believe "hive stop": pid ${identity.pid} still lives`);
  }
  await expectNoProcesses({ folder: hive.folder });
}
