import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { userInfo } from "node:os";
import { join } from "node:path";
import { readProcessIdentity, signalProcess } from "@queen-and-hive/daemon";
import { until } from "../clock/until.ts";
import { familyCpuMs } from "../processes/cpu-time.ts";
import { processesOf } from "../processes/processes-of.ts";
import { type Program, startProgram } from "../processes/program.ts";
import { runCommand } from "../processes/run-command.ts";
import { testEnvironment } from "../processes/surroundings.ts";
import { makeNetworkNamespace, type NetworkNamespace } from "./network-namespace.ts";
import {
  loginEnvironment,
  loginWrapper,
  type SshServerOptions,
  type SshTestHost,
  type SshTestHostParts,
} from "./ssh-test-host.ts";

const SSHD = "/usr/sbin/sshd";
const PORT = 22;

/** A real OpenSSH server in a network namespace of its own. Throws where namespaces cannot be made. */
export async function startOpensshHost(parts: SshTestHostParts): Promise<SshTestHost> {
  const network = makeNetworkNamespace();
  const home = join(parts.folder, "home");
  mkdirSync(home, { recursive: true });
  // sshd needs it when it is started by root; on most machines it is there.
  mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });
  let options = parts.options;
  let server: Program | null = null;
  const user = userInfo().username;
  const host: SshTestHost = {
    kind: "openssh",
    address: network.address,
    port: PORT,
    user,
    url: `ssh://${user}@${network.address}:${PORT}`,
    gateway: network.gateway,
    home,
    get hostKey() {
      return options.hostKey ?? parts.hostKey;
    },
    inside: network.inside,
    command: (argv, input) =>
      runCommand(network.inside(argv), {
        env: testEnvironment(home),
        cwd: home,
        ...(input === undefined ? {} : { input }),
      }),
    processes: () => processesOf({ folder: home }),
    serverCpuMs: () => (server === null ? 0 : familyCpuMs(server.identity.pid)),
    connections: () => (server === null ? 0 : childrenOf(server.identity.pid).length),
    dropConnections: () => {
      for (const pid of server === null ? [] : childrenOf(server.identity.pid)) kill(pid);
    },
    stopServer: async () => {
      const stopped = server;
      server = null;
      if (stopped === null) return;
      const children = childrenOf(stopped.identity.pid);
      await stopped[Symbol.asyncDispose]();
      for (const pid of children) kill(pid);
    },
    startServer: async (changed = options) => {
      options = changed;
      server = await startServer(network, parts, home, options);
    },
    cutLink: () => network.cut(),
    cutLinkBack: () => network.cutBack(),
    mendLink: () => network.mend(),
    [Symbol.asyncDispose]: async () => {
      await host.stopServer();
      network[Symbol.dispose]();
    },
  };
  try {
    await host.startServer();
    return host;
  } catch (error) {
    await host[Symbol.asyncDispose]();
    throw error;
  }
}

async function startServer(
  network: NetworkNamespace,
  { folder, hostKey, authorizedKeys }: SshTestHostParts,
  home: string,
  options: SshServerOptions,
): Promise<Program> {
  const configFile = join(folder, "sshd_config");
  const keysFile = join(folder, "authorized_keys");
  writeFileSync(keysFile, `${authorizedKeys}\n`);
  const environment = Object.entries(loginEnvironment(home)).map(([name, value]) => `${name}=${value}`);
  const wrapper = loginWrapper(options);
  const lines = [
    `ListenAddress ${network.address}:${PORT}`,
    `HostKey ${(options.hostKey ?? hostKey).path}`,
    `AuthorizedKeysFile ${keysFile}`,
    `PubkeyAuthentication ${options.passwordOnly === true ? "no" : "yes"}`,
    `PasswordAuthentication ${options.passwordOnly === true ? "yes" : "no"}`,
    "KbdInteractiveAuthentication no",
    "PermitRootLogin yes",
    "StrictModes no",
    "UsePAM no",
    "UseDNS no",
    "PidFile none",
    "LogLevel VERBOSE",
    "MaxStartups 100",
    `MaxSessions ${options.maxSessions ?? 10}`,
    `AllowTcpForwarding ${options.forwarding === "none" ? "no" : "yes"}`,
    `AllowStreamLocalForwarding ${(options.forwarding ?? "all") === "all" ? "yes" : "no"}`,
    `SetEnv ${environment.join(" ")}`,
    ...(wrapper === null ? [] : [`ForceCommand ${wrapper}`]),
  ];
  writeFileSync(configFile, `${lines.join("\n")}\n`);
  const argv = network.inside([SSHD, "-D", "-e", "-f", configFile]);
  const logFile = join(folder, "sshd.log");
  const program = await startProgram(argv, { env: testEnvironment(home), cwd: folder, logFile });
  await until(() => program.end() !== null || canConnect(network.address), undefined, "the SSH server");
  // Our own look at the port is no connection of the test.
  await until(() => childrenOf(program.identity.pid).length === 0, undefined, "the end of our look at the SSH server");
  const end = program.end();
  if (end !== null) throw new Error(`cannot start ${SSHD}: it ended with ${end.code}\n${program.output()}`);
  return program;
}

function canConnect(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(PORT, address);
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}

/** The server's process per connection (and their privileged halves). */
function childrenOf(pid: number): readonly number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
    return text === "" ? [] : text.split(" ").map(Number);
  } catch {
    return [];
  }
}

function kill(pid: number): void {
  // The unprivileged half ends with the privileged one; both hold the connection, so both are ended.
  const identity = readProcessIdentity(pid);
  for (const child of childrenOf(pid)) {
    const words = readFileSync(`/proc/${child}/cmdline`, "utf8");
    if (words.startsWith("sshd:")) kill(child);
  }
  if (identity !== null) signalProcess(identity, "SIGKILL");
}
