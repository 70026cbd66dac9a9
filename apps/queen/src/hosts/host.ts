import type { Socket } from "node:net";
import type { Readable } from "node:stream";
import type { Deadline, ProcessIdentity } from "@queen-and-hive/daemon";

/** The words of a command, before any quoting: data, whatever characters are in them. */
export type Argv = readonly [string, ...string[]];

/** How a command ended. */
export interface CommandEnd {
  readonly stdout: string;
  readonly stderr: string;
  /** Null when a signal ended it; 127 when there is no such program, 126 when it cannot be executed, as shells have it. */
  readonly exitCode: number | null;
}

/** How a command is run. */
export interface ExecOptions {
  readonly deadline: Deadline;
  /** What it reads from its standard input; nothing when absent. */
  readonly input?: string | Readable | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * What is uploaded: a file of this machine, or bytes. The SHA-256 that a file is expected to have spares reading it twice,
 * and refuses one that was replaced meanwhile.
 */
export type UploadSource = { readonly file: string; readonly sha256?: string } | { readonly bytes: Uint8Array };

/** How a file is uploaded. */
export interface UploadOptions {
  /** Permissions of the file on the host, such as 0o755. */
  readonly mode: number;
  readonly deadline: Deadline;
  readonly signal?: AbortSignal | undefined;
  /** Hears how many bytes of the source are on their way. */
  readonly onProgress?: ((sentBytes: number, totalBytes: number) => void) | undefined;
}

/** What has to be known of a host before a path on it can be named. */
export interface HostFacts {
  /** The home directory of the user we are there. */
  readonly home: string;
  readonly uid: number;
  /** machine-id(5); the host's name where it has none. */
  readonly machineId: string;
}

/** A TCP address as the host itself sees it. */
export interface HostAddress {
  readonly host: string;
  readonly port: number;
}

/** How a connection through a host is made. */
export interface ForwardOptions {
  /** What travels on it: calls to a daemon, or answers of models, which have the connection for themselves. */
  readonly traffic: "control" | "tokens";
  readonly deadline: Deadline;
  readonly signal?: AbortSignal | undefined;
}

/**
 * A machine on which commands can be run and files be put. Everything ends by its deadline. Every method that asks
 * something of the machine throws `host_unreachable` when it cannot be reached, `host_key_refused` when it is not who it
 * should be, `host_login_refused` when it does not let us in, `deadline_exceeded`, and the signal's reason.
 */
export interface Host extends AsyncDisposable {
  /** How lists name it: `local`, or what the configuration says. */
  readonly name: string;
  /** This machine: its processes can be looked at from here. */
  readonly isLocal: boolean;
  /** Runs a command to its end; how it ended is for the caller to judge. */
  exec(argv: Argv, options: ExecOptions): Promise<CommandEnd>;
  /**
   * Puts a file at an absolute path, as one step: compressed on its way, written beside the target under another name,
   * its SHA-256 checked there, then renamed. Missing directories are made. Throws `upload_failed` too; then nothing is left.
   */
  upload(source: UploadSource, target: string, options: UploadOptions): Promise<void>;
  /** Opens a connection to a TCP address as seen from the host. Throws `peer_unreachable` too. */
  forward(address: HostAddress, options: ForwardOptions): Promise<Socket>;
  /** Who we are there; asked once. */
  facts(deadline: Deadline, signal?: AbortSignal): Promise<HostFacts>;
  /** Whether a process of this host still lives; null when the host cannot tell from here. */
  isAlive(identity: ProcessIdentity): boolean | null;
}
