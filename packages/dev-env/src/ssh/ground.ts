import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryDirectory } from "../files/temporary-directory.ts";
import { killAtExit } from "../processes/kill-at-exit.ts";
import { expectNoProcesses } from "../processes/leave-nothing.ts";
import { startInProcessHost } from "./in-process-host.ts";
import { startOpensshHost } from "./openssh-host.ts";
import { makeSshKey, type SshKey } from "./ssh-keys.ts";
import { installCheckoutHive, type SshServerOptions, type SshTestHost, type SshTestHostParts } from "./ssh-test-host.ts";

/** What a test ground is to be; everything has a default. */
export interface SshGroundOptions {
  /** One host per entry; two plain ones when not given. */
  readonly hosts?: readonly SshServerOptions[];
  /** False: the hosts are empty, nothing is installed there. */
  readonly hive?: boolean;
  /** `in_process` asks for ssh2's server also where namespaces can be made; else the environment's QH_SSH_GROUND decides. */
  readonly kind?: "openssh" | "in_process";
  /** Where it lies; a temporary folder that is removed at the end when not given. */
  readonly folder?: string;
}

/** A few machines that are reached over SSH, and what is needed to get in. */
export interface SshGround extends AsyncDisposable {
  readonly hosts: readonly SshTestHost[];
  readonly folder: string;
  /** The key that every host lets in. */
  readonly key: SshKey;
  /** Has the key of every host. */
  readonly knownHosts: string;
}

const KIND_VARIABLE = "QH_SSH_GROUND";
let said = false;

/**
 * Makes machines of network namespaces with a real OpenSSH server in each. Where this machine does not let us, they are
 * SSH servers inside this process, and that is said once on standard error.
 */
export async function startSshGround(options: SshGroundOptions = {}): Promise<SshGround> {
  const directory = options.folder === undefined ? await temporaryDirectory("qh-ssh") : null;
  const folder = options.folder ?? directory?.path ?? "";
  const guard = killAtExit(folder);
  const hosts: SshTestHost[] = [];
  const dispose = async (): Promise<void> => {
    try {
      await Promise.all(hosts.map((host) => host[Symbol.asyncDispose]()));
      await expectNoProcesses({ folder });
    } finally {
      guard[Symbol.dispose]();
      await directory?.[Symbol.asyncDispose]();
    }
  };
  try {
    const key = makeSshKey(join(folder, "id"));
    for (const [index, server] of (options.hosts ?? [{}, {}]).entries()) {
      const place = join(folder, `host${index + 1}`);
      mkdirSync(place);
      const parts = {
        folder: place,
        hostKey: makeSshKey(join(place, "host_key")),
        authorizedKeys: key.publicKey,
        options: server,
      };
      const host = await startHost(parts, options.kind ?? process.env[KIND_VARIABLE]);
      hosts.push(host);
      if (options.hive !== false) installCheckoutHive(host.home);
    }
    const knownHosts = join(folder, "known_hosts");
    writeFileSync(knownHosts, hosts.map((host) => `${knownHostsLine(host)}\n`).join(""));
    return { hosts, folder, key, knownHosts, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/** The first host of a ground. */
export function firstOf({ hosts }: Pick<SshGround, "hosts">): SshTestHost {
  const [host] = hosts;
  if (host === undefined) throw new Error("a ground has a host");
  return host;
}

/** The line of a known_hosts file for a host. */
export function knownHostsLine({ address, port, hostKey }: Pick<SshTestHost, "address" | "port" | "hostKey">): string {
  return `${port === 22 ? address : `[${address}]:${port}`} ${hostKey.publicKey}`;
}

async function startHost(parts: SshTestHostParts, kind: string | undefined): Promise<SshTestHost> {
  if (kind === "in_process") return await startInProcessHost(parts);
  try {
    return await startOpensshHost(parts);
  } catch (error) {
    if (kind === "openssh") throw error;
    if (!said) process.stderr.write(`no network namespaces here, SSH hosts are servers inside the test: ${String(error)}\n`);
    said = true;
    return await startInProcessHost(parts);
  }
}
