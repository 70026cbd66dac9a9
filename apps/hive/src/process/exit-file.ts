import { constants as osConstants } from "node:os";
import { errorCodeOf, type Log } from "@queen-and-hive/daemon";
import { type ExitStatus, statusFromShell, UNKNOWN_STATUS } from "../domain/exit-status.ts";
import { readBeginning } from "./read-beginning.ts";

/**
 * What the shim left about the end of the engine; unknown when it could not, as after a KILL of the shim itself, or when it
 * cannot be read. Never throws: an end is told whatever the disk says.
 */
export function readExitStatus(path: string, log: Pick<Log, "warn">): ExitStatus {
  let text: string;
  try {
    text = readBeginning(path, BYTES_MAX);
  } catch (error) {
    if (errorCodeOf(error) !== "ENOENT") log.warn("cannot read how a worker ended", { error, path });
    return UNKNOWN_STATUS;
  }
  // Without its line end the number may be cut short.
  const reported = /^(\d{1,3})\n$/.exec(text)?.[1];
  return reported === undefined || Number(reported) > STATUS_MAX
    ? UNKNOWN_STATUS
    : statusFromShell(Number(reported), SIGNAL_NAMES);
}

const STATUS_MAX = 255;
/** Three digits and a line end, and one more that tells a longer file apart. */
const BYTES_MAX = 5;

// Later names of the same number are aliases (SIGIOT, SIGPOLL); the first one is the usual.
const SIGNAL_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(osConstants.signals)
    .reverse()
    .map(([name, number]) => [number, name]),
);
