import { HIVE_ENDPOINTS, type HiveIdentity, type HiveStatusAnswer, QhError } from "@queen-and-hive/protocol";
import { readLiveIdentity } from "../store/identity-file.ts";
import { peekOwner } from "../store/ownership.ts";
import type { StatePaths } from "../store/state-paths.ts";
import { daemonClient } from "./daemon-client.ts";
import { findState } from "./find-state.ts";
import { countLiveWorkers } from "./live-workers.ts";
import type { CommandResult } from "./output.ts";

/** The flags of `hive status`. */
export interface StatusFlags {
  readonly stateDir?: string;
}

/** How long a running daemon may take to answer before it is called mute. */
const ANSWER_MS = 2_000;

/** `hive status`: what runs in a state directory, decided by process identity and by an answer; changes nothing. */
export async function status(flags: StatusFlags): Promise<CommandResult> {
  const paths = findState(flags);
  const answer = await look(paths);
  return { json: answer, text: sentence(answer, paths) };
}

async function look(paths: StatePaths): Promise<HiveStatusAnswer> {
  const owner = peekOwner(paths)?.queen_id ?? null;
  const identity = readLiveIdentity(paths);
  if (identity === null) return { state: "stopped", identity: null, owner, workers: await countLiveWorkers(paths) };
  const workers = await countWorkers(paths, identity);
  if (workers !== null) return { state: "running", identity, owner, workers };
  // It may have ended while we waited for its answer.
  return readLiveIdentity(paths)?.start_time === identity.start_time
    ? { state: "mute", identity, owner, workers: await countLiveWorkers(paths) }
    : { state: "stopped", identity: null, owner, workers: await countLiveWorkers(paths) };
}

/** How many workers the daemon keeps; null when it does not answer. */
async function countWorkers(paths: StatePaths, identity: HiveIdentity): Promise<number | null> {
  await using peer = daemonClient(paths, identity, ANSWER_MS);
  try {
    return (await peer.call(HIVE_ENDPOINTS.listWorkers)).workers.length;
  } catch (error) {
    if (!(error instanceof QhError)) throw error;
    // It answers, if only with a refusal: that is not mute.
    return error.kind === "peer_unreachable" || error.kind === "deadline_exceeded" ? null : 0;
  }
}

function sentence({ state, identity, owner, workers }: HiveStatusAnswer, paths: StatePaths): string {
  const running = `${workers} worker(s)`;
  if (identity === null) {
    const left = workers === 0 ? "" : `; ${running} of it still run: \`hive start\` adopts them, \`hive stop\` stops them`;
    return `no hive runs in ${paths.dir}${left}`;
  }
  const mute = state === "mute" ? `; it does not answer, see ${paths.log}` : "";
  const { hive_id, pid, hive_epoch, url } = identity;
  return `hive ${hive_id} is ${state}: process ${pid}, epoch ${hive_epoch}, ${url}, owner ${owner ?? "none"}, ${running}${mute}`;
}
