import type { SshTarget } from "./ssh-target.ts";

/** Limits of the connections to hosts. */
export interface SshLimits {
  readonly connectMs: number;
  readonly keepAliveMs: number;
  /** After so many silences a connection is lost. */
  readonly keepAlivesMissed: number;
  /** How long opening a connection to a daemon through a tunnel may take. */
  readonly forwardMs: number;
  /** How long opening the way back for callbacks may take. */
  readonly wayBackMs: number;
  /** The pauses between attempts that fail grow from the first to the longest. */
  readonly reconnectFirstMs: number;
  readonly reconnectMaxMs: number;
  /** Commands of one connection at the same time. */
  readonly sessions: number;
}

/** How a machine is reached over SSH; what is null here is decided by ssh's own configuration. */
export interface SshReach {
  /** How lists name it. */
  readonly name: string;
  readonly target: SshTarget;
  /** The only key that is tried before those of the agent. */
  readonly identityFile: string | null;
  /** The only file in which host keys are looked up. */
  readonly knownHosts: string | null;
  /** The socket of the running agent (`SSH_AUTH_SOCK`). */
  readonly agent: string | null;
  /** Our own home directory, with `.ssh` in it. */
  readonly home: string;
  readonly limits: SshLimits;
}
