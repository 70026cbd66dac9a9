import type { Socket } from "node:net";
import { type Clock, type Deadline, systemClock } from "@queen-and-hive/daemon";
import type { SshLimits, SshReach } from "../config/ssh-reach.ts";
import type {
  Argv,
  CommandEnd,
  ExecOptions,
  ForwardOptions,
  Host,
  HostAddress,
  HostFacts,
  UploadOptions,
  UploadSource,
} from "./host.ts";
import { readHostFacts } from "./host-facts.ts";
import { KeptConnection } from "./kept-connection.ts";
import { openSshConnection } from "./ssh-connect.ts";
import type { SshConnection } from "./ssh-connection.ts";
import { uploadFile } from "./upload-file.ts";

/** What OpenSSH's own tools may take beside an attempt to connect, milliseconds. */
const LOOK_UPS_MS = 5_000;

/** A machine that is reached over SSH: one kept connection for commands and calls, others for tokens and for uploads. */
export class SshHost implements Host {
  readonly name: string;
  readonly isLocal = false;
  readonly #reach: SshReach;
  readonly #control: KeptConnection;
  readonly #tokens: KeptConnection;
  #facts: HostFacts | null = null;

  constructor(reach: SshReach, clock: Clock = systemClock) {
    this.name = reach.name;
    this.#reach = reach;
    const { connectMs, reconnectFirstMs, reconnectMaxMs } = reach.limits;
    const parts = {
      name: reach.name,
      openMs: connectMs + LOOK_UPS_MS,
      pauses: { firstMs: reconnectFirstMs, maxMs: reconnectMaxMs },
      open: (deadline: Deadline, signal: AbortSignal) => openSshConnection(reach, deadline, signal),
      clock,
      random: Math.random,
    };
    this.#control = new KeptConnection(parts);
    this.#tokens = new KeptConnection(parts);
  }

  /** What limits its connections. */
  get limits(): SshLimits {
    return this.#reach.limits;
  }

  /** The kept connection itself; commands and calls share it. */
  connection(deadline: Deadline, signal?: AbortSignal): Promise<SshConnection> {
    return this.#control.get(deadline, signal);
  }

  async exec(argv: Argv, options: ExecOptions): Promise<CommandEnd> {
    const connection = await this.#control.get(options.deadline, options.signal);
    return await connection.exec(argv, options);
  }

  async upload(source: UploadSource, target: string, options: UploadOptions): Promise<void> {
    const connection = await openSshConnection(this.#reach, options.deadline, options.signal);
    try {
      await uploadFile((argv, how) => connection.exec(argv, how), source, target, options);
    } finally {
      connection.close();
    }
  }

  async forward(address: HostAddress, { traffic, deadline, signal }: ForwardOptions): Promise<Socket> {
    const connection = await (traffic === "control" ? this.#control : this.#tokens).get(deadline, signal);
    return await connection.forward(address, deadline, signal);
  }

  async facts(deadline: Deadline, signal?: AbortSignal): Promise<HostFacts> {
    this.#facts ??= await readHostFacts((argv, options) => this.exec(argv, options), this.name, deadline, signal);
    return this.#facts;
  }

  isAlive(): null {
    return null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#control[Symbol.dispose]();
    this.#tokens[Symbol.dispose]();
  }
}
