import { setImmediate as afterPoll, setTimeout as afterTimer } from "node:timers/promises";

/**
 * Whether a peer is still silent once we have read what already lies in our sockets. After a stall of our own process the
 * timer of a deadline runs before the sockets are read, and every healthy peer looks dead; one poll phase and a timer of
 * 0 ms later the news have been read.
 */
export async function stillSilentAfterStallCheck(isSilent: () => boolean): Promise<boolean> {
  await afterPoll();
  await afterTimer(0);
  await afterPoll();
  return isSilent();
}
