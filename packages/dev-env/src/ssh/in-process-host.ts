import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { connect, createServer, type Server as NetServer, type Socket } from "node:net";
import { networkInterfaces, userInfo } from "node:os";
import { join } from "node:path";
import ssh2, { type AuthContext, type Connection, type PublicKeyAuthContext, type ServerChannel, type Session } from "ssh2";
import { killProcesses } from "../processes/leave-nothing.ts";
import { processesOf } from "../processes/processes-of.ts";
import { runCommand } from "../processes/run-command.ts";
import { testEnvironment } from "../processes/surroundings.ts";
import {
  loginEnvironment,
  loginWrapper,
  type SshServerOptions,
  type SshTestHost,
  type SshTestHostParts,
} from "./ssh-test-host.ts";

/** An address of this machine that is not its loopback, where it has one: a direct hive must not listen on that. */
const ADDRESS =
  Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .find(({ family, internal }) => family === "IPv4" && !internal)?.address ?? "127.0.0.1";
const SESSIONS_MAX = 10;

/** ssh2's server inside this process, for machines that do not let us make network namespaces. */
export async function startInProcessHost(parts: SshTestHostParts): Promise<SshTestHost> {
  const home = join(parts.folder, "home");
  mkdirSync(home, { recursive: true });
  let options = parts.options;
  let server: NetServer | null = null;
  let port = 0;
  let isCut = false;
  const sockets = new Set<Socket>();
  const user = userInfo().username;
  const environment = testEnvironment(home, loginEnvironment(home));
  const dropConnections = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  const host: SshTestHost = {
    kind: "in_process",
    address: ADDRESS,
    get port() {
      return port;
    },
    user,
    get url() {
      return `ssh://${user}@${ADDRESS}:${port}`;
    },
    gateway: ADDRESS,
    home,
    get hostKey() {
      return options.hostKey ?? parts.hostKey;
    },
    inside: (argv) => argv,
    command: (argv, input) => runCommand(argv, { env: environment, cwd: home, ...(input === undefined ? {} : { input }) }),
    processes: () => processesOf({ folder: home }),
    // It is this process.
    serverCpuMs: () => 0,
    connections: () => sockets.size,
    dropConnections,
    stopServer: async () => {
      const stopped = server;
      server = null;
      dropConnections();
      if (stopped !== null) await new Promise<void>((resolve) => stopped.close(() => resolve()));
    },
    startServer: async (changed = options) => {
      options = changed;
      const ssh = createSshServer({ ...parts, options }, environment);
      server = createServer((socket) => {
        sockets.add(socket);
        socket.on("close", () => sockets.delete(socket)).on("error", () => undefined);
        if (isCut) hold(socket);
        ssh.injectSocket(socket);
      });
      const listening = server;
      await new Promise<void>((resolve) => listening.listen(port, ADDRESS, resolve));
      const bound = listening.address();
      port = typeof bound === "object" && bound !== null ? bound.port : 0;
    },
    cutLinkBack: () => {
      for (const socket of sockets) socket.cork();
    },
    cutLink: () => {
      isCut = true;
      for (const socket of sockets) hold(socket);
    },
    mendLink: () => {
      isCut = false;
      for (const socket of sockets) socket.uncork();
      for (const socket of sockets) socket.resume();
    },
    [Symbol.asyncDispose]: async () => {
      await host.stopServer();
      // As a namespace takes along what still runs inside.
      await killProcesses({ folder: home });
    },
  };
  await host.startServer();
  return host;
}

/** Nothing gets in or out any more, and nobody is told. */
function hold(socket: Socket): void {
  socket.pause();
  socket.cork();
}

function createSshServer(parts: SshTestHostParts, environment: Readonly<Record<string, string>>): ssh2.Server {
  const hostKey = readFileSync((parts.options.hostKey ?? parts.hostKey).path);
  return new ssh2.Server({ hostKeys: [hostKey] }, (client) => {
    client.on("error", () => undefined);
    client.on("authentication", (context) => authenticate(context, parts));
    client.on("ready", () => serve(client, parts.options, environment));
  });
}

function authenticate(context: AuthContext, { authorizedKeys, options }: SshTestHostParts): void {
  if (options.passwordOnly === true) context.reject(["password"]);
  else if (context.method === "publickey" && isAuthorized(context, authorizedKeys)) context.accept();
  else context.reject(["publickey"]);
}

/** Without a signature the client only asks whether the key would do. */
function isAuthorized({ key, blob, signature, hashAlgo }: PublicKeyAuthContext, authorizedKeys: string): boolean {
  const line = `${key.algo} ${key.data.toString("base64")}`;
  if (!authorizedKeys.split("\n").includes(line)) return false;
  if (signature === undefined || blob === undefined) return true;
  const parsed = ssh2.utils.parseKey(line);
  return !(parsed instanceof Error) && parsed.verify(blob, signature, hashAlgo) === true;
}

function serve(client: Connection, options: SshServerOptions, environment: Readonly<Record<string, string>>): void {
  let sessions = 0;
  client.on("session", (accept, reject) => {
    if (sessions >= (options.maxSessions ?? SESSIONS_MAX)) return void reject();
    sessions += 1;
    const session = accept();
    session.on("close", () => {
      sessions -= 1;
    });
    serveSession(session, options, environment);
  });
  client.on("tcpip", (accept, reject, { destIP, destPort }) => {
    if (options.forwarding === "none") return void reject();
    const socket = connect({ host: destIP, port: destPort });
    socket.once("connect", () => joinBoth(socket, accept())).once("error", () => void reject());
  });
  serveForwards(client, options);
}

function serveSession(session: Session, options: SshServerOptions, environment: Readonly<Record<string, string>>): void {
  session.on("exec", (accept, _reject, { command }) => {
    const channel = accept();
    const wrapper = loginWrapper(options);
    const env = { ...environment, ...(wrapper === null ? {} : { SSH_ORIGINAL_COMMAND: command }) };
    const child = spawn("sh", ["-c", wrapper ?? command], { env, cwd: environment["HOME"], detached: true });
    pump(child, channel);
  });
}

function pump(child: ChildProcess, channel: ServerChannel): void {
  channel.on("error", () => undefined);
  child.stdin?.on("error", () => undefined);
  if (child.stdin !== null) channel.pipe(child.stdin);
  child.stdout?.pipe(channel, { end: false });
  child.stderr?.pipe(channel.stderr, { end: false });
  child.on("close", (code, signal) => {
    if (signal === null) channel.exit(code ?? 1);
    else channel.exit(signal.replace("SIG", ""), false, "");
    channel.end();
  });
}

/** Streamlocal and TCP forwarding from the host back through the connection. */
function serveForwards(client: Connection, { forwarding = "all" }: SshServerOptions): void {
  const servers = new Set<NetServer>();
  const closeAll = (): void => {
    for (const server of servers) server.close();
  };
  client.on("close", closeAll).on("end", closeAll);
  client.on("request", (accept: Accept, reject: (() => void) | undefined, name: string, info: ForwardRequest) => {
    if (name === "streamlocal-forward@openssh.com" && forwarding === "all" && "socketPath" in info) {
      servers.add(forwardSocket(client, info.socketPath, accept, reject));
    } else if (name === "tcpip-forward" && forwarding !== "none" && "bindAddr" in info) {
      servers.add(forwardPort(client, info, accept, reject));
    } else {
      reject?.();
    }
  });
}

type Accept = ((port?: number) => void) | undefined;
type ForwardRequest = { readonly socketPath: string } | { readonly bindAddr: string; readonly bindPort: number };

function forwardSocket(client: Connection, path: string, accept: Accept, reject: (() => void) | undefined): NetServer {
  const server = createServer((socket) =>
    client.openssh_forwardOutStreamLocal(path, (error, channel) => (error ? socket.destroy() : joinBoth(socket, channel))),
  );
  server.on("error", () => reject?.());
  server.listen(path, () => {
    chmodSync(path, 0o600);
    accept?.();
  });
  // OpenSSH removes the socket's file when the connection ends.
  client.on("close", () => rmSync(path, { force: true }));
  return server;
}

function forwardPort(
  client: Connection,
  { bindAddr, bindPort }: { readonly bindAddr: string; readonly bindPort: number },
  accept: Accept,
  reject: (() => void) | undefined,
): NetServer {
  const server = createServer((socket) =>
    client.forwardOut(bindAddr, boundPort(server), socket.remoteAddress ?? bindAddr, socket.remotePort ?? 0, (error, channel) =>
      error ? socket.destroy() : joinBoth(socket, channel),
    ),
  );
  server.on("error", () => reject?.());
  server.listen(bindPort, bindAddr, () => accept?.(boundPort(server)));
  return server;
}

function boundPort(server: NetServer): number {
  const bound = server.address();
  return typeof bound === "object" && bound !== null ? bound.port : 0;
}

function joinBoth(socket: Socket, channel: ServerChannel): void {
  socket.on("error", () => channel.destroy());
  channel.on("error", () => socket.destroy());
  socket.pipe(channel).pipe(socket);
  socket.on("close", () => channel.destroy());
  channel.on("close", () => socket.destroy());
}
