import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  COMPILE_CACHE,
  freePort,
  isPortFree,
  killAtExit,
  type Program,
  REPOSITORY,
  runCommand,
  startProgram,
  startTestQueen,
  type TestQueen,
  temporaryDirectory,
  until,
} from "@queen-and-hive/dev-env";
import { QUEEN_ENDPOINTS } from "@queen-and-hive/protocol";
import { DEBUGGABLE } from "./collect-garbage.ts";

/** Something that answers chats. */
export interface Target {
  readonly name: string;
  readonly port: number;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The process whose CPU time is what it costs; null for the engine itself. */
  readonly pid: number | null;
}

/** The engine and everything that stands in front of it in this bench. */
export interface Targets extends AsyncDisposable {
  readonly direct: Target;
  readonly queen: Target;
  readonly nginx: Target;
  readonly haproxy: Target;
  readonly portkey: Target;
  readonly testQueen: TestQueen;
}

const CHAT = "/v1/chat/completions";
const PORTKEY_VERSION = "1.15.2";
const START_MS = 60_000;
const INSTALL_MS = 300_000;
/** As many as a hive allows, and more than any load here opens. */
const SLOTS = 1_024;

/**
 * Starts the queen with a hive whose worker is the engine of this bench, and nginx, haproxy and Portkey's gateway in front
 * of the same engine, each as one process with one thread. The queen's metrics and journal are on, as they always are.
 */
export async function startTargets(): Promise<Targets> {
  await using started = new AsyncDisposableStack();
  const folder = started.use(await temporaryDirectory("qh-bench"));
  // A bench that is cut short leaves nothing behind.
  started.use(killAtExit(folder.path));
  const testQueen = started.use(await startQueen());
  const enginePort = await loadEngine(testQueen);
  const program = async (name: string, argv: readonly string[], port: number, env: Readonly<Record<string, string>> = {}) => {
    const options = { env: { PATH: process.env["PATH"] ?? "", HOME: folder.path, ...env }, cwd: folder.path };
    const running = started.use(await startProgram(argv, { ...options, logFile: folder.join(`${name}.log`) }));
    await until(() => listening(running, name, port), START_MS, `${name} to listen`);
    return running.identity.pid;
  };
  const ports = { nginx: await freePort(), haproxy: await freePort(), portkey: await freePort() };
  await writeFile(folder.join("nginx.conf"), nginxConfig(ports.nginx, enginePort, folder.path));
  await writeFile(folder.join("haproxy.cfg"), haproxyConfig(ports.haproxy, enginePort));
  const pids = {
    nginx: await program("nginx", ["nginx", "-p", folder.path, "-c", folder.join("nginx.conf")], ports.nginx),
    haproxy: await program("haproxy", ["haproxy", "-db", "-f", folder.join("haproxy.cfg")], ports.haproxy),
    portkey: await program(
      "portkey",
      [process.execPath, await portkeyProgram(), `--port=${ports.portkey}`, "--headless"],
      ports.portkey,
      {
        TRUSTED_CUSTOM_HOSTS: "127.0.0.1",
      },
    ),
  };
  const plain = { path: CHAT, headers: {} };
  const portkeyHeaders = {
    "x-portkey-provider": "openai",
    "x-portkey-custom-host": `http://127.0.0.1:${enginePort}/v1`,
    authorization: "Bearer bench",
  };
  const all = started.move();
  return {
    direct: { name: "direct", port: enginePort, pid: null, ...plain },
    queen: { name: "queen", port: Number(new URL(testQueen.url).port), pid: testQueen.program.identity.pid, ...plain },
    nginx: { name: "nginx", port: ports.nginx, pid: pids.nginx, ...plain },
    haproxy: { name: "haproxy", port: ports.haproxy, pid: pids.haproxy, ...plain },
    portkey: { name: "portkey", port: ports.portkey, pid: pids.portkey, path: CHAT, headers: portkeyHeaders },
    testQueen,
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

async function startQueen(): Promise<TestQueen> {
  const command = [process.execPath, join(REPOSITORY, "bench", "gateway", "engine.ts"), "--host", "{host}", "--port", "{port}"];
  const queen = await startTestQueen({
    env: DEBUGGABLE,
    config: {
      models: [{ id: "bench", runtime: "bench", slots: SLOTS, workers: { min: 1 } }],
      runtimes: { bench: { command, env: COMPILE_CACHE, ready: { http: "/health" } } },
      limits: { connections_per_ip: 2 * SLOTS },
      queue: { max_waiting: SLOTS },
    },
  });
  try {
    await queen.hivesRunning();
    return queen;
  } catch (error) {
    await queen[Symbol.asyncDispose]();
    throw error;
  }
}

async function loadEngine(queen: TestQueen): Promise<number> {
  const found = await until(
    async () => {
      const { workers } = await queen.peer.call(QUEEN_ENDPOINTS.listWorkers);
      return workers.find((worker) => worker.state === "ready") ?? null;
    },
    START_MS,
    "the engine to be ready",
  );
  if (found.port === null) throw new Error("cannot measure: the engine's port is not known");
  return found.port;
}

async function listening(program: Program, name: string, port: number): Promise<boolean> {
  if (program.end() !== null) throw new Error(`cannot start ${name}; is it installed?\n${program.output()}`);
  return !(await isPortFree(port));
}

/** Installed from npm once per machine: the product needs nothing of it. */
async function portkeyProgram(): Promise<string> {
  const folder = join(tmpdir(), `queen-bench-portkey-${PORTKEY_VERSION}`);
  const program = join(folder, "node_modules", "@portkey-ai", "gateway", "build", "start-server.js");
  if (existsSync(program)) return program;
  await mkdir(folder, { recursive: true });
  const argv = [
    "npm",
    "install",
    "--no-save",
    "--no-audit",
    "--no-fund",
    "--prefix",
    folder,
    `@portkey-ai/gateway@${PORTKEY_VERSION}`,
  ];
  // With the whole environment: a registry may be named there.
  const env = Object.fromEntries(Object.entries(process.env).map(([name, value]) => [name, value ?? ""]));
  const result = await runCommand(argv, { env, cwd: folder, withinMs: INSTALL_MS });
  if (result.exitCode !== 0) throw new Error(`cannot install Portkey's gateway from npm: ${result.stderr}`);
  return program;
}

function nginxConfig(port: number, enginePort: number, folder: string): string {
  return `daemon off; master_process off; worker_processes 1; pid ${folder}/nginx.pid; error_log ${folder}/nginx-error.log;
events { worker_connections 8192; }
http {
  access_log off; client_body_temp_path ${folder}/b; proxy_temp_path ${folder}/p; fastcgi_temp_path ${folder}/f;
  uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  upstream engine { server 127.0.0.1:${enginePort}; keepalive 1024; keepalive_requests 1000000; }
  server {
    listen 127.0.0.1:${port}; keepalive_requests 1000000;
    location / { proxy_pass http://engine; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }
  }
}
`;
}

function haproxyConfig(port: number, enginePort: number): string {
  return `global
  nbthread 1
  maxconn 8192
defaults
  mode http
  timeout connect 5s
  timeout client 300s
  timeout server 300s
  http-reuse always
  option http-no-delay
frontend chats
  bind 127.0.0.1:${port}
  default_backend engine
backend engine
  server engine 127.0.0.1:${enginePort}
`;
}
