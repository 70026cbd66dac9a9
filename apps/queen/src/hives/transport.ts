import type { Deadline, PeerConnect } from "@queen-and-hive/daemon";
import type { QueenAddress } from "@queen-and-hive/protocol";
import type { EngineConnect } from "../workers/worker-directory.ts";

/** How calls get to a hive and its engines, and how its callbacks get back. */
export interface HiveTransport extends AsyncDisposable {
  /**
   * Where the hive is told to call back, now; a way back that was lost is opened anew before. Throws `host_unreachable`,
   * `deadline_exceeded`, and the signal's reason.
   */
  queenAddress(deadline: Deadline, signal: AbortSignal): Promise<QueenAddress>;
  /** The same as it was told last; opens nothing. */
  lastAddress(): QueenAddress;
  /** How connections to the daemon are opened; null means by TCP from here. */
  readonly connectDaemon: PeerConnect | null;
  /** How connections to engines are opened; null means by TCP from here. */
  readonly connectEngine: EngineConnect | null;
}

/** The network itself: for the hive of this machine, and for direct ones, each with the listener that it calls back to. */
export function createNetworkTransport(address: () => QueenAddress): HiveTransport {
  return {
    queenAddress: async () => address(),
    lastAddress: address,
    connectDaemon: null,
    connectEngine: null,
    [Symbol.asyncDispose]: async () => undefined,
  };
}
