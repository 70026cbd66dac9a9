import { createHash, randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import { posix } from "node:path";
import type { Deadline } from "@queen-and-hive/daemon";
import { QhError } from "@queen-and-hive/protocol";
import { framedLine, lastWords } from "./framed-line.ts";
import type { Argv, HostFacts } from "./host.ts";
import type { SshConnection } from "./ssh-connection.ts";

/** Where a hive's callbacks come to on its host. */
export interface CallbackPlace {
  readonly hiveId: string;
  /** The hive's state directory there, absolute. */
  readonly stateDir: string;
  readonly queenId: string;
  readonly facts: HostFacts;
}

/** The longest path of a Unix socket that is used, bytes; Linux takes 107 (unix(7), sun_path). */
const PATH_BYTES_MAX = 100;
/** How often a new name is tried. */
const TRIES = 3;
const MARK = "queen-callbacks";

/**
 * Makes the directory of the socket, ours alone, and removes what earlier connections of this queen left there: $1 the
 * directory, $2 its names' beginning, $3 "shared" for one below /tmp, where somebody else may have been before us.
 */
const PREPARE_SCRIPT = `
set -u
say() { printf '\\n${MARK} %s\\n' "$1"; exit 0; }
umask 077
if [ "$3" = shared ]; then
  mkdir -m 700 -- "$1" 2>/dev/null
  [ -d "$1" ] && [ ! -h "$1" ] && [ "$(stat -c '%u %a' -- "$1")" = "$(id -u) 700" ] || say foreign
else
  mkdir -p -- "$1" || say unwritable
  [ -w "$1" ] || say unwritable
fi
rm -f -- "$1/$2"*.sock
say ready
`;

/**
 * Opens the way back from a host, for the life of one SSH connection: a Unix socket that only we and root can use there;
 * a loopback port where the SSH server forbids sockets. Returns the address that the hive is told. Throws
 * `forwarding_forbidden`, `host_unreachable`, `deadline_exceeded`, the signal's reason.
 */
export async function openCallbackSocket(
  connection: SshConnection,
  place: CallbackPlace,
  onConnection: (socket: Socket) => void,
  deadline: Deadline,
  given: AbortSignal,
): Promise<string> {
  using signal = deadline.signal(given);
  const prefix = `queen-${shortHash(place.queenId).slice(0, 4)}`;
  const directory = directoryOf(place, prefix);
  await prepare(connection, directory, prefix, place, deadline, signal);
  for (let attempt = 0; attempt < TRIES; attempt += 1) {
    const path = posix.join(directory.path, `${prefix}${randomBytes(2).toString("hex")}.sock`);
    if (await connection.forwardSocketIn(path, onConnection, signal)) return `unix:${path}`;
  }
  const port = await connection.forwardPortIn(onConnection, signal);
  if (port !== null) return `http://127.0.0.1:${port}`;
  throw new QhError(
    "forwarding_forbidden",
    `cannot open a way back from the host of ${place.hiveId}: its SSH server forbids forwarding; allow it there (AllowStreamLocalForwarding yes), or use transport: direct`,
  );
}

/** Takes a socket away that nobody is told of any more, and its directory of /tmp. Never throws: the next start does it too. */
export async function removeCallbackSocket(connection: SshConnection, url: string, deadline: Deadline): Promise<void> {
  if (!url.startsWith(UNIX)) return;
  const path = url.slice(UNIX.length);
  const argv: Argv = ["sh", "-c", REMOVE_SCRIPT, "queen-callbacks", path, posix.dirname(path)];
  await connection.exec(argv, { deadline }).catch(() => undefined);
}

const UNIX = "unix:";
const SHARED = "/tmp/hive-";
/** $1 the socket, $2 its directory; a state directory stays. */
const REMOVE_SCRIPT = `rm -f -- "$1"; case $2 in ${SHARED}*) rmdir -- "$2" ;; esac`;

interface SocketDirectory {
  readonly path: string;
  readonly isShared: boolean;
}

function directoryOf({ stateDir, facts }: CallbackPlace, prefix: string): SocketDirectory {
  const longest = posix.join(stateDir, `${prefix}0000.sock`);
  if (Buffer.byteLength(longest) <= PATH_BYTES_MAX) return { path: stateDir, isShared: false };
  // Before the first start there is no HIVE_STATE_ID yet, and the state directory stands for it as well.
  return { path: `${SHARED}${facts.uid}-${shortHash(stateDir)}`, isShared: true };
}

async function prepare(
  connection: SshConnection,
  { path, isShared }: SocketDirectory,
  prefix: string,
  { hiveId }: CallbackPlace,
  deadline: Deadline,
  signal: AbortSignal,
): Promise<void> {
  const argv: Argv = ["sh", "-c", PREPARE_SCRIPT, "queen-callbacks", path, prefix, isShared ? "shared" : "own"];
  const end = await connection.exec(argv, { deadline, signal });
  const said = framedLine(end.stdout, MARK);
  if (said === "ready") return;
  const why =
    said === "foreign"
      ? `${path} belongs to somebody else or is open to others; remove it there, or choose a shorter state_dir`
      : `${path} cannot be made or written (${lastWords(end)}); choose another state_dir`;
  throw new QhError("host_unreachable", `cannot open a way back from the host of ${hiveId}: ${why}`);
}

function shortHash(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 8);
}
