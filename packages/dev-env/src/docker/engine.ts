import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "../clock/until.ts";
import { temporaryDirectory } from "../files/temporary-directory.ts";
import { mustRun } from "../processes/must-run.ts";
import { startProgram } from "../processes/program.ts";
import { runCommand } from "../processes/run-command.ts";
import { callersEnvironment, testEnvironment } from "../processes/surroundings.ts";

/** An engine for containers. The scope's end stops it where it was started for this scope. */
export interface Engine extends AsyncDisposable {
  /** For people: which one, and whether it was there before. */
  readonly description: string;
  /** The environment in which `docker` and compose reach it. */
  readonly env: Readonly<Record<string, string>>;
}

const ASK_WITHIN_MS = 20_000;
const START_WITHIN_MS = 120_000;
const END_WITHIN_MS = 60_000;
/** Another engine of ours may run its whole show first. */
const LOCK_WITHIN_MS = 600_000;
const IP_FORWARD = "/proc/sys/net/ipv4/ip_forward";

const UNUSED_TABLES = [
  "*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\nCOMMIT\n",
  "*nat\n:PREROUTING ACCEPT\n:INPUT ACCEPT\n:OUTPUT ACCEPT\n:POSTROUTING ACCEPT\nCOMMIT\n",
];

/**
 * The engine that runs on this machine; else one that is started for this scope, with all that it keeps in a temporary
 * folder, for which root and Debian's `docker.io` are needed. Throws, with its log, when there is neither.
 */
export async function openEngine(): Promise<Engine> {
  const running = await versionOf(callersEnvironment());
  if (running !== null) {
    const description = `the engine that runs here, ${running}`;
    return { description, env: callersEnvironment(), [Symbol.asyncDispose]: () => Promise.resolve() };
  }
  if (process.getuid?.() !== 0) {
    throw new Error("cannot start a container engine: none runs here, and starting one needs root; start it or run this as root");
  }
  await mustRun(["dockerd", "--version"], { withinMs: ASK_WITHIN_MS }).catch((cause: unknown) => {
    throw new Error("cannot start a container engine: none runs here, and there is no dockerd; install it (Debian: docker.io)", {
      cause,
    });
  });
  await using stack = new AsyncDisposableStack();
  stack.use(await lockEngines());
  const folder = stack.use(await temporaryDirectory("qh-engine"));
  stack.adopt(await rememberNetwork(), (restore) => restore());
  const socket = `unix://${folder.join("docker.sock")}`;
  const places = ["--data-root", folder.join("data"), "--exec-root", folder.join("exec"), "--pidfile", folder.join("pid")];
  const dockerd = await startProgram(["dockerd", ...places, "--host", socket], {
    env: callersEnvironment(),
    cwd: folder.path,
    logFile: folder.join("dockerd.log"),
  });
  stack.adopt(dockerd, async () => {
    dockerd.send("SIGTERM");
    await dockerd.ended(END_WITHIN_MS);
    await unmountBelow(folder.path);
  });
  const env = callersEnvironment({ DOCKER_HOST: socket });
  const started = await until(() => (dockerd.end() === null ? versionOf(env) : "ended"), START_WITHIN_MS, "dockerd to answer");
  if (started === "ended") throw new Error(`cannot start a container engine: dockerd ended at once\n${dockerd.output()}`);
  const kept = stack.move();
  const description = `an engine of its own, ${started}`;
  return { description, env, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** "20.10.24" and so on; null when no engine answers. */
async function versionOf(env: Readonly<Record<string, string>>): Promise<string | null> {
  const argv = ["docker", "version", "--format", "{{.Server.Version}}"];
  const result = await runCommand(argv, { env, cwd: "/", withinMs: ASK_WITHIN_MS }).catch(() => null);
  return result?.exitCode === 0 ? result.stdout.trim() : null;
}

/** Two engines that are started for a while share the machine's bridge and packet filter: one at a time. */
async function lockEngines(): Promise<AsyncDisposable> {
  const folder = await temporaryDirectory("qh-engine-lock");
  const words = [
    "flock",
    "--no-fork",
    join(tmpdir(), "queen-and-hive-engine.lock"),
    "sh",
    "-c",
    "echo held; exec sleep infinity",
  ];
  const program = await startProgram(words, { env: testEnvironment("/"), cwd: "/", logFile: folder.join("lock.log") });
  await until(() => program.output().includes("held"), LOCK_WITHIN_MS, "the lock of other engines");
  return {
    [Symbol.asyncDispose]: async () => {
      await program[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

/** Returns how to undo what an engine changes about the network of this machine and leaves behind: packet filter, bridge, forwarding. */
async function rememberNetwork(): Promise<() => Promise<void>> {
  const withinMs = ASK_WITHIN_MS;
  const bridge = "/sys/class/net/docker0";
  const hadBridge = existsSync(bridge);
  const forwards = readFileSync(IP_FORWARD, "utf8");
  const { stdout: saved } = await mustRun(["iptables-save"], { withinMs });
  // A table that nobody has used yet is not in the list, and would keep what the engine adds to it.
  const filter = UNUSED_TABLES.filter((table) => !saved.includes(table.slice(0, table.indexOf("\n")))).join("") + saved;
  return async () => {
    await mustRun(["iptables-restore"], { withinMs, input: filter });
    if (!hadBridge && existsSync(bridge)) await mustRun(["ip", "link", "delete", "docker0"], { withinMs });
    writeFileSync(IP_FORWARD, forwards);
  };
}

/** An engine leaves mounts of its own behind: of network namespaces, and its data directory bound to itself. */
async function unmountBelow(folder: string): Promise<void> {
  const mounted = readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[1] ?? "")
    .filter((place) => place.startsWith(`${folder}/`));
  for (const place of mounted.reverse()) await mustRun(["umount", "--lazy", place], { withinMs: ASK_WITHIN_MS });
}
