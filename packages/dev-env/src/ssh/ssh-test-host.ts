import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { FoundProcess } from "../processes/processes-of.ts";
import type { CommandResult } from "../processes/run-command.ts";
import { COMPILE_CACHE, programCommand } from "../processes/surroundings.ts";
import type { SshKey } from "./ssh-keys.ts";

/** How an SSH server misbehaves or is restricted; each is what real machines do. */
export interface SshServerOptions {
  /** Sessions that one connection may have at the same time; 10 is OpenSSH's default. */
  readonly maxSessions?: number;
  /** What may be forwarded: Unix sockets and TCP, TCP alone, or nothing. */
  readonly forwarding?: "all" | "tcp" | "none";
  /** What every login prints before the command runs. */
  readonly loginNoise?: string;
  /** How long every command waits before it runs, milliseconds. */
  readonly commandDelayMs?: number;
  /** No file may get larger, as on a disk that fills up; KiB. */
  readonly fileSizeMaxKib?: number;
  /** Every command runs as nobody, who may write nowhere in the home; only where the test runs as root. */
  readonly asNobody?: boolean;
  /** Another host key than before. */
  readonly hostKey?: SshKey;
  /** Only passwords are asked for. */
  readonly passwordOnly?: boolean;
}

/** A machine that is reached over SSH: a real OpenSSH server in a network of its own, or ssh2's inside the test. */
export interface SshTestHost extends AsyncDisposable {
  readonly kind: "openssh" | "in_process";
  readonly address: string;
  readonly port: number;
  readonly user: string;
  /** `ssh://user@address:port`. */
  readonly url: string;
  /** The address under which the host reaches us. */
  readonly gateway: string;
  /** Its home directory, where logins start and hives are installed. */
  readonly home: string;
  readonly hostKey: SshKey;
  /** A command line that runs there without SSH. */
  inside(argv: readonly string[]): readonly string[];
  /** Runs a command there without SSH. */
  command(argv: readonly string[], input?: string): Promise<CommandResult>;
  /** Every process of the host that has to do with its home: hives, workers, commands; not its SSH server. */
  processes(): readonly FoundProcess[];
  /** CPU time that its SSH server has had so far, with every connection and command that has ended, milliseconds. */
  serverCpuMs(): number;
  /** Open SSH connections. */
  connections(): number;
  /** Ends every SSH connection at once, as a crash of their server processes would. */
  dropConnections(): void;
  /** Stops listening and ends every connection. */
  stopServer(): Promise<void>;
  /** Starts the server again, with other options. */
  startServer(options?: SshServerOptions): Promise<void>;
  /** From now on packets are lost in silence. */
  cutLink(): void;
  /** From now on what the host sends is lost in silence; what it is sent arrives. */
  cutLinkBack(): void;
  mendLink(): void;
}

/** What both kinds of hosts are made with. */
export interface SshTestHostParts {
  readonly folder: string;
  readonly hostKey: SshKey;
  /** Who is let in. */
  readonly authorizedKeys: string;
  readonly options: SshServerOptions;
}

/** The environment of every login. */
export function loginEnvironment(home: string): Readonly<Record<string, string>> {
  return { HOME: home, ...COMPILE_CACHE };
}

/** The command that every login runs instead of its own, or null when that may run as it is. */
export function loginWrapper({ loginNoise, commandDelayMs, fileSizeMaxKib, asNobody = false }: SshServerOptions): string | null {
  if (loginNoise === undefined && commandDelayMs === undefined && fileSizeMaxKib === undefined && !asNobody) return null;
  // POSIX counts in blocks of 512 bytes.
  const limit = fileSizeMaxKib === undefined ? "" : `ulimit -f ${fileSizeMaxKib * 2}; `;
  const noise = loginNoise === undefined ? "" : `printf '%s\\n' '${loginNoise}'; `;
  const delay = commandDelayMs === undefined ? "" : `sleep ${commandDelayMs / 1_000}; `;
  const nobody = asNobody ? "setpriv --reuid=65534 --regid=65534 --clear-groups " : "";
  return `${noise}${delay}exec ${nobody}sh -c '${limit}eval "$SSH_ORIGINAL_COMMAND"'`;
}

/** Puts this checkout's hive where an installed one would be. */
export function installCheckoutHive(home: string): void {
  const folder = join(home, ".local/share/hive/current");
  mkdirSync(folder, { recursive: true });
  const words = programCommand("hive")
    .map((word) => `'${word}'`)
    .join(" ");
  writeFileSync(join(folder, "hive"), `#!/bin/sh\nexec ${words} "$@"\n`, { mode: 0o755 });
}
