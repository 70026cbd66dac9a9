import { Deadline, isProcessAlive, signalProcess, systemClock, waitForProcessEnd } from "@queen-and-hive/daemon/basics";
import {
  HIVE_ENDPOINTS,
  type HiveIdentity,
  type HiveShutdown,
  type HiveShutdownAnswer,
  type HiveStopAnswer,
  QhError,
} from "@queen-and-hive/protocol";
import type { StatePaths } from "../store/state-paths.ts";
import { daemonClient } from "./daemon-client.ts";

/** How one daemon and its workers ended. */
export interface DaemonFate {
  /** Whether the daemon itself said what became of its workers. */
  readonly answered: boolean;
  readonly stopped: HiveStopAnswer["stopped"];
  readonly left: readonly string[];
}

/** How long a daemon may take to answer anything before it is called mute. */
const MUTE_MS = 2_000;
/** What is kept of the deadline for killing a daemon that does not end, and for proving it. */
const PROOF_MS = 2_000;

/**
 * Asks a daemon to end and proves that it has. A mute one is killed by its verified identity, never by TERM: its workers
 * then live on and are the caller's next concern.
 */
export async function stopDaemon(
  paths: StatePaths,
  identity: HiveIdentity,
  workers: HiveShutdown["workers"],
  deadline: Deadline,
): Promise<DaemonFate> {
  const answer = await askToEnd(paths, identity, workers, deadline.earlier(PROOF_MS));
  const ended = answer !== null && (await waitForProcessEnd(identity, deadline.earlier(PROOF_MS)));
  const how: "ended" | "killed" | "already_gone" | "left" = ended ? "ended" : await kill(identity, deadline);
  return {
    answered: answer !== null,
    stopped: [
      ...(how === "left" ? [] : [{ what: "hive", worker_id: null, pid: identity.pid, how } as const]),
      ...workersOf(answer).flatMap(({ worker_id, pid, how: end }) =>
        pid === null || end === "left" ? [] : [{ what: "worker", worker_id, pid, how: end } as const],
      ),
    ],
    left: [
      ...(how === "left" ? [`process ${identity.pid}, the hive ${identity.hive_id}: not even KILL ends it`] : []),
      ...workersOf(answer).flatMap(({ worker_id, pid, how: end }) =>
        end === "left" ? [`process ${pid ?? "?"} of ${worker_id}`] : [],
      ),
    ],
  };
}

/** The daemon's word about its workers; null when it is mute or refuses. */
async function askToEnd(
  paths: StatePaths,
  identity: HiveIdentity,
  workers: HiveShutdown["workers"],
  deadline: Deadline,
): Promise<HiveShutdownAnswer | null> {
  try {
    await using looking = daemonClient(paths, identity, MUTE_MS);
    await looking.call(HIVE_ENDPOINTS.getHealth, { deadline });
    await using asking = daemonClient(paths, identity, deadline.remainingMs());
    const body: HiveShutdown = { workers, deadline_ms: Math.floor(deadline.remainingMs()) };
    return await asking.call(HIVE_ENDPOINTS.postShutdown, { body, deadline });
  } catch (error) {
    if (!(error instanceof QhError)) throw error;
    return null;
  }
}

async function kill(identity: HiveIdentity, deadline: Deadline): Promise<"killed" | "already_gone" | "left"> {
  if (!isProcessAlive(identity)) return "already_gone";
  if (signalProcess(identity, "SIGKILL") === "refused") return "left";
  const proof = deadline.remainingMs() < PROOF_MS ? Deadline.in(PROOF_MS) : deadline;
  return (await waitForProcessEnd(identity, proof, systemClock)) ? "killed" : "left";
}

function workersOf(answer: HiveShutdownAnswer | null): HiveShutdownAnswer["workers"] {
  return answer?.workers ?? [];
}
