import { createPeer, type Peer } from "@queen-and-hive/daemon/peer";
import { type HiveIdentity, QhError } from "@queen-and-hive/protocol";
import { readLiveIdentity } from "../store/identity-file.ts";
import type { StatePaths } from "../store/state-paths.ts";
import { readToken } from "../store/token-file.ts";

/** A typed client of the daemon of a state directory, with the token that lies there. */
export function daemonClient(paths: StatePaths, identity: HiveIdentity, timeoutMs: number): Peer {
  return createPeer({
    url: identity.url,
    token: () => readToken(paths),
    name: `hive ${identity.hive_id}`,
    timeoutMs,
    maxSockets: 2,
  });
}

/** The daemon that runs, for commands that need one. Throws `hive_not_found`. */
export function requireRunning(paths: StatePaths): HiveIdentity {
  const identity = readLiveIdentity(paths);
  if (identity === null) {
    throw new QhError(
      "hive_not_found",
      `cannot ask the hive in ${paths.dir}: none runs there; start it with \`hive start --state-dir ${paths.dir}\``,
    );
  }
  return identity;
}
