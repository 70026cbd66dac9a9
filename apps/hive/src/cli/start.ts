import { isDeepStrictEqual } from "node:util";
import { Deadline, keptConfigText, peekStateFile, writeFileDurable } from "@queen-and-hive/daemon/basics";
import {
  HIVE_CONFIG_DEFAULTS,
  type HiveConfigInput,
  type HiveIdentity,
  type HiveStartAnswer,
  type HiveStartRequest,
  hiveConfigSchema,
  lazyValidator,
  QhError,
} from "@queen-and-hive/protocol";
import { resolveHiveSettings } from "../config.ts";
import { type Environment, ownEnvironment } from "../config-environment.ts";
import { locateStateDir } from "../config-place.ts";
import { readLiveIdentity } from "../store/identity-file.ts";
import { checkClaim, peekOwner, writeOwner } from "../store/ownership.ts";
import { openStateDirectory } from "../store/state-directory.ts";
import type { StatePaths } from "../store/state-paths.ts";
import { readToken, writeToken } from "../store/token-file.ts";
import { launchOrFind } from "./launch-or-find.ts";
import { type CommandResult, note } from "./output.ts";
import { takeLock } from "./start-lock.ts";
import { readStartRequest } from "./start-request.ts";

/** The flags of `hive start`. */
export interface StartFlags {
  readonly json: boolean;
  readonly config?: string;
  readonly stateDir?: string;
  /** How long the whole start may take, in milliseconds. */
  readonly deadlineMs: number;
}

const validateConfig = lazyValidator<HiveConfigInput>(hiveConfigSchema, "ignore");

/** `hive start`: one daemon per state directory, however many starts race; the result is the daemon that runs. */
export async function start(flags: StartFlags): Promise<CommandResult> {
  const deadline = Deadline.in(flags.deadlineMs);
  const request = flags.json ? await readStartRequest(process.stdin, deadline) : {};
  const answer = await startHive({ flags, request, environment: ownEnvironment(), deadline });
  return { json: answer, text: sentence(answer) };
}

interface StartOrder {
  readonly flags: StartFlags;
  readonly request: HiveStartRequest;
  readonly environment: Environment;
  readonly deadline: Deadline;
}

async function startHive(order: StartOrder): Promise<HiveStartAnswer> {
  const { flags, request, environment, deadline } = order;
  const given = request.config ?? (await readGiven(flags));
  const dir = locateStateDir(flags, given ?? {}, environment);
  if (given !== null) resolveHiveSettings(given, { homeDir: "/", baseDir: dir });
  const paths = await openStateDirectory(dir);
  await using _lock = await takeLock(paths.startLock, deadline);
  const kept = keptConfig(paths);
  const hiveId = environment["HIVE_HIVE_ID"] ?? given?.hive_id ?? kept?.hive_id ?? HIVE_CONFIG_DEFAULTS.hive_id;
  const running = readLiveIdentity(paths);
  if (running !== null) refuseOther(running, hiveId, paths);
  if (request.queen !== undefined) checkClaim(peekOwner(paths), request.queen);
  await keep(paths, given, request);
  const found = await launchOrFind(paths, environment, deadline);
  refuseOther(found.identity, hiveId, paths);
  if (found.alreadyRunning && given !== null && !isDeepStrictEqual(given, kept)) {
    note(`the new configuration is kept in ${paths.config}; the running hive uses it after its next start`);
  }
  return { ...found.identity, already_running: found.alreadyRunning, owner: peekOwner(paths)?.queen_id ?? null };
}

/** Reading YAML takes more than the rest of this command together, so that only who gives a file waits for it. */
async function readGiven({ config }: StartFlags): Promise<HiveConfigInput | null> {
  if (config === undefined) return null;
  const { readConfigAlone } = await import("../config-load.ts");
  return readConfigAlone(config);
}

function keptConfig(paths: StatePaths): HiveConfigInput | null {
  const content = peekStateFile(paths.config, validateConfig);
  return content.kind === "value" ? content.value : null;
}

/** Everything that a start without a queen will need: from a shell, from systemd, after a reboot. */
async function keep(paths: StatePaths, config: HiveConfigInput | null, { secrets, queen }: HiveStartRequest): Promise<void> {
  if (config !== null) await writeFileDurable(paths.config, keptConfigText(config));
  if (secrets !== undefined && secrets.token !== readToken(paths)) await writeToken(paths, secrets.token);
  // A running daemon hears of its owner by PUT /v1/queen: it alone writes that file then.
  if (queen !== undefined && readLiveIdentity(paths) === null) writeOwner(paths, queen);
}

function refuseOther(running: HiveIdentity, hiveId: string, paths: StatePaths): void {
  if (running.hive_id === hiveId) return;
  throw new QhError(
    "already_running",
    `cannot start ${hiveId} in ${paths.dir}: the hive ${running.hive_id} runs there as process ${running.pid} at ${running.url}; choose another --state-dir or stop that one`,
    { details: { identity: running } },
  );
}

function sentence(answer: HiveStartAnswer): string {
  const verb = answer.already_running ? "runs already" : "started";
  const owner = answer.owner === null || answer.owner === undefined ? "" : `, owned by ${answer.owner}`;
  return `hive ${answer.hive_id} ${verb}: process ${answer.pid}, epoch ${answer.hive_epoch}, ${answer.url}${owner}`;
}
