import { existsSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { expandHome } from "@queen-and-hive/daemon";
import { QhError } from "@queen-and-hive/protocol";
import { execa } from "execa";
import type { SshReach } from "../config/ssh-reach.ts";

/** What OpenSSH's client would use for a host. */
export interface SshRoute {
  readonly hostName: string;
  readonly port: number;
  readonly user: string;
  /** The name under which host keys are kept. */
  readonly keyName: string;
  readonly identityFiles: readonly string[];
  readonly agent: string | null;
  /** Only the agent's keys that the identity files name are offered. */
  readonly identitiesOnly: boolean;
  readonly knownHostsFiles: readonly string[];
  /** The command whose standard streams are the connection; null for a TCP connection of our own. */
  readonly proxy: readonly [string, ...string[]] | null;
}

/** How long `ssh -G` may take; a `Match exec` of the user's may run programs. */
const LOOK_UP_MS = 5_000;
const DEFAULT_PORT = 22;
/** The files that OpenSSH's client looks for (ssh_config(5), IdentityFile). */
const DEFAULT_IDENTITIES = ["id_ed25519", "id_ecdsa", "id_rsa"];

/**
 * Where and how to connect: `ssh -G` answers for `~/.ssh/config`, and the queen's own configuration goes before that.
 * Without OpenSSH's client an address of ours is all there is. Throws `host_unreachable` for a configuration that ssh refuses.
 */
export async function findSshRoute(reach: SshReach, signal?: AbortSignal): Promise<SshRoute> {
  const options = await askOpenSsh(reach, signal);
  const one = (name: string): string | null => options.get(name)?.[0] ?? null;
  const { target } = reach;
  const hostName = one("hostname") ?? target.host;
  const port = Number(one("port") ?? target.port ?? DEFAULT_PORT);
  const user = one("user") ?? target.user ?? userInfo().username;
  const keyHost = one("hostkeyalias") ?? hostName;
  return {
    hostName,
    port,
    user,
    keyName: one("hostkeyalias") !== null || port === DEFAULT_PORT ? keyHost : `[${keyHost}]:${port}`,
    identityFiles: identityFilesOf(reach, options),
    agent: agentOf(reach, one("identityagent")),
    identitiesOnly: one("identitiesonly") === "yes",
    knownHostsFiles: knownHostsOf(reach, options),
    proxy: proxyOf(one("proxyjump"), one("proxycommand"), { hostName, port, user, configFile: configFileOf(reach) }),
  };
}

type Options = ReadonlyMap<string, readonly string[]>;

async function askOpenSsh(reach: SshReach, signal: AbortSignal | undefined): Promise<Options> {
  const { user, host, port } = reach.target;
  const args = [...configFileOf(reach), ...(user === null ? [] : ["-l", user]), ...(port === null ? [] : ["-p", String(port)])];
  const result = await execa("ssh", ["-G", "-T", ...args, host], {
    reject: false,
    stdin: "ignore",
    timeout: LOOK_UP_MS,
    ...(signal === undefined ? {} : { cancelSignal: signal }),
  });
  signal?.throwIfAborted();
  if (result.exitCode === undefined && !result.timedOut) return new Map();
  if (result.exitCode !== 0) {
    const said = result.stderr.trim().split("\n").slice(-3).join(" | ");
    throw new QhError(
      "host_unreachable",
      `cannot connect to ${reach.name}: "ssh -G ${host}" says: ${said === "" ? "nothing" : said}`,
    );
  }
  return parseOptions(result.stdout);
}

/** Lines of `name value`; names that come several times keep all values. */
function parseOptions(text: string): Options {
  const options = new Map<string, string[]>();
  for (const line of text.split("\n")) {
    const space = line.indexOf(" ");
    if (space < 0) continue;
    const name = line.slice(0, space).toLowerCase();
    options.set(name, [...(options.get(name) ?? []), line.slice(space + 1).trim()]);
  }
  return options;
}

/** ssh reads the home directory of the password file; where HOME says otherwise, so do we. */
function configFileOf({ home }: SshReach): readonly string[] {
  if (home === userInfo().homedir) return [];
  const file = join(home, ".ssh", "config");
  return ["-F", existsSync(file) ? file : "none"];
}

function identityFilesOf({ identityFile, home }: SshReach, options: Options): readonly string[] {
  if (identityFile !== null) return [identityFile];
  const named = options.get("identityfile") ?? DEFAULT_IDENTITIES.map((name) => `~/.ssh/${name}`);
  return named.map((path) => expandHome(unquoted(path), home)).filter(isKeyThere);
}

/** The public half alone says which of the agent's keys is meant. */
function isKeyThere(path: string): boolean {
  return existsSync(path) || existsSync(`${path}.pub`);
}

function agentOf({ agent }: SshReach, named: string | null): string | null {
  if (named === null || named === "SSH_AUTH_SOCK") return agent;
  return named === "none" ? null : unquoted(named);
}

function knownHostsOf({ knownHosts, home }: SshReach, options: Options): readonly string[] {
  if (knownHosts !== null) return [knownHosts];
  const named = [
    ...(options.get("userknownhostsfile") ?? ["~/.ssh/known_hosts"]),
    ...(options.get("globalknownhostsfile") ?? []),
  ];
  return named.flatMap((value) => value.split(" ")).map((path) => expandHome(unquoted(path), home));
}

function proxyOf(
  jump: string | null,
  command: string | null,
  to: { readonly hostName: string; readonly port: number; readonly user: string; readonly configFile: readonly string[] },
): SshRoute["proxy"] {
  if (jump !== null && jump !== "none") {
    const hops = jump.split(",");
    const last = hops.at(-1) ?? "";
    const before = hops.length > 1 ? ["-J", hops.slice(0, -1).join(",")] : [];
    const strict = ["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"];
    const url = last.startsWith("ssh://") || !/:[0-9]+$/.test(last) ? last : `ssh://${last}`;
    const host = to.hostName.includes(":") ? `[${to.hostName}]` : to.hostName;
    return ["ssh", ...to.configFile, ...strict, ...before, "-W", `${host}:${to.port}`, "--", url];
  }
  return command === null || command === "none" ? null : ["sh", "-c", `exec ${filledIn(command, to)}`];
}

/** The tokens of ssh_config(5) that a ProxyCommand may have. */
function filledIn(command: string, { hostName, port, user }: { hostName: string; port: number; user: string }): string {
  const values: Readonly<Record<string, string>> = { h: hostName, n: hostName, p: String(port), r: user, "%": "%" };
  return command.replace(/%([hnpr%])/g, (_, token: string) => values[token] ?? "");
}

function unquoted(text: string): string {
  return text.replace(/^"(.*)"$/, "$1");
}
