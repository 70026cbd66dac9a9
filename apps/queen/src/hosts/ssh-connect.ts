import { connect as connectTcp } from "node:net";
import type { Duplex } from "node:stream";
import type { Deadline } from "@queen-and-hive/daemon";
import { QhError } from "@queen-and-hive/protocol";
import { NodeSSH } from "node-ssh";
import ssh2, { type ServerHostKeyAlgorithm } from "ssh2";
import type { SshReach } from "../config/ssh-reach.ts";
import { findKnownKeys, judgeHostKey, type KnownKeys } from "./known-hosts.ts";
import { SshConnection } from "./ssh-connection.ts";
import { type SshLogin, sshLogin } from "./ssh-login.ts";
import { type SshProxy, startSshProxy } from "./ssh-proxy.ts";
import { findSshRoute, type SshRoute } from "./ssh-route.ts";

/**
 * Opens a connection: the host key verified, no question ever asked. Throws `host_unreachable`, `host_key_refused`,
 * `host_login_refused`, `deadline_exceeded`, the signal's reason.
 */
export async function openSshConnection(reach: SshReach, deadline: Deadline, given?: AbortSignal): Promise<SshConnection> {
  using signal = deadline.signal(given);
  const route = await findSshRoute(reach, signal);
  const known = await findKnownKeys(route.knownHostsFiles, route.keyName, signal);
  const login = sshLogin(reach, route, (key) => !(ssh2.utils.parseKey(key) instanceof Error));
  const proxy = route.proxy === null ? null : startSshProxy(route.proxy);
  const stream = proxy?.stream ?? connectTcp({ host: route.hostName, port: route.port, noDelay: true });
  const attempt: Attempt = { reach, route, known, login, proxy, stream, refusal: null };
  try {
    return await connect(attempt, Math.min(reach.limits.connectMs, deadline.remainingMs()), signal);
  } catch (error) {
    stream.destroy();
    throw error;
  }
}

interface Attempt {
  readonly reach: SshReach;
  readonly route: SshRoute;
  readonly known: KnownKeys;
  readonly login: SshLogin;
  readonly proxy: SshProxy | null;
  /** What it travels on: ours, so that it ends when we say so. */
  readonly stream: Duplex;
  /** Set when the host key was not the right one. */
  refusal: QhError | null;
}

async function connect(attempt: Attempt, withinMs: number, signal: AbortSignal): Promise<SshConnection> {
  const ssh = new NodeSSH();
  const connecting = ssh.connect(configOf(attempt, withinMs));
  const { connection: client } = ssh;
  if (client === null) return await connecting.then(() => Promise.reject(new TypeError("a connection has a client")));
  // node-ssh listens for errors only until the log-in; one that comes later would end the process.
  client.on("error", () => undefined);
  const onAbort = (): void => void attempt.stream.destroy();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    await connecting;
    return new SshConnection({
      client,
      stream: attempt.stream,
      name: attempt.reach.name,
      sessions: attempt.reach.limits.sessions,
    });
  } catch (cause) {
    if (signal.aborted) throw signal.reason;
    throw explain(attempt, cause);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

function configOf(attempt: Attempt, withinMs: number): Parameters<NodeSSH["connect"]>[0] {
  const { reach, route, known, login, stream } = attempt;
  return {
    host: route.hostName,
    port: route.port,
    username: route.user,
    sock: stream,
    authHandler: login.methods,
    readyTimeout: finiteMs(withinMs),
    // 0 is ssh2's word for never.
    keepaliveInterval: finiteMs(reach.limits.keepAliveMs),
    keepaliveCountMax: reach.limits.keepAlivesMissed,
    algorithms: { serverHostKey: { prepend: algorithmsOf(known), append: [], remove: [] } },
    hostVerifier: (key: Buffer) => {
      const files = route.knownHostsFiles;
      attempt.refusal = judgeHostKey({ name: reach.name, keyName: route.keyName, files, key }, known);
      return attempt.refusal === null;
    },
  };
}

function finiteMs(ms: number): number {
  return Number.isFinite(ms) ? ms : 0;
}

const RSA: readonly ServerHostKeyAlgorithm[] = ["rsa-sha2-512", "rsa-sha2-256"];
const OTHERS: readonly ServerHostKeyAlgorithm[] = [
  "ssh-ed25519",
  "ecdsa-sha2-nistp256",
  "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp521",
];

/** A host with keys of several kinds is asked for the kind that we know, as OpenSSH does. */
function algorithmsOf({ trusted }: KnownKeys): ServerHostKeyAlgorithm[] {
  const types = new Set(trusted.map(({ type }) => type));
  return [...OTHERS.filter((name) => types.has(name)), ...(types.has("ssh-rsa") ? RSA : [])];
}

function explain({ reach, route, login, proxy, refusal }: Attempt, cause: unknown): QhError {
  if (refusal !== null) return refusal;
  const level = cause instanceof Error && "level" in cause ? cause.level : null;
  const where = `${reach.name} (${route.hostName}:${route.port})`;
  if (level === "client-authentication" || level === "agent") {
    return new QhError(
      "host_login_refused",
      `cannot log in to ${where} as ${route.user}: it takes none of our keys (${login.tried.join(", ")}); bring one there with ssh-copy-id`,
      { cause },
    );
  }
  if (level === "client-timeout") {
    return new QhError("host_unreachable", `cannot connect to ${where}: it did not finish the SSH hand-shake in time`, { cause });
  }
  const said = proxy?.said() ?? "";
  const why = said !== "" ? said : cause instanceof Error ? cause.message : String(cause);
  return new QhError("host_unreachable", `cannot connect to ${where}: ${why}`, { cause });
}
