import type { SshTarget } from "./ssh-target.ts";

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
}
