import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { REPOSITORY, runCommand, startTestHive, type TestHive, temporaryDirectory } from "@queen-and-hive/dev-env";
import { HIVE_ENDPOINTS } from "@queen-and-hive/protocol";
import { hiveProgram } from "./hive-program.ts";
import { memoryOf } from "./process-figures.ts";
import { sleeperOrder } from "./sleeper.ts";
import { median } from "./statistics.ts";
import type { Row } from "./table.ts";

const SPAWNS = 15;
const STARTS = 15;
const IDLE_MS = 5_000;
/** What the hive writes into its log once it listens; no terminal reads it here, so it is a JSON line. */
const LISTENS = "the hive listens";

/** Spawn call to running process, memory, and start times; of the executable where `npm run build:hive` has made it. */
export async function benchHive(): Promise<readonly Row[]> {
  const { command, name } = hiveProgram();
  await using hive = await startTestHive({ command });
  await sleep(IDLE_MS);
  const idle = memoryOf(hive.identity.pid);
  const spawns = await spawnTimes(hive);
  const busy = memoryOf(hive.identity.pid);
  const versions = await versionTimes(command);
  const listening = await listenTimes(command);
  const spawned = { unit: "ms", atMost: null, samples: spawns.length } as const;
  const memory = { unit: "MB", samples: 1 } as const;
  return [
    { id: "spawn_p50", what: "spawn call -> process running and known by identity, p50", value: median(spawns), ...spawned },
    { id: "spawn_slowest", what: "the same, the slowest", value: Math.max(...spawns), ...spawned },
    {
      id: "idle_anonymous",
      what: `idle hive (${name}), anonymous memory`,
      value: idle.anonymousBytes / 1e6,
      atMost: 60,
      ...memory,
    },
    {
      id: "idle_resident",
      what: `idle hive (${name}), resident memory`,
      value: idle.residentBytes / 1e6,
      atMost: null,
      ...memory,
    },
    {
      id: "busy_anonymous",
      what: `the same with ${SPAWNS} workers, anonymous memory`,
      value: busy.anonymousBytes / 1e6,
      atMost: null,
      ...memory,
    },
    {
      id: "version",
      what: `hive --version (${name}), median`,
      value: median(versions),
      unit: "ms",
      atMost: 60,
      samples: versions.length,
    },
    {
      id: "listening",
      what: `hive run -> listening (${name}), median`,
      value: median(listening),
      unit: "ms",
      atMost: 250,
      samples: listening.length,
    },
  ];
}

async function spawnTimes(hive: TestHive): Promise<readonly number[]> {
  const times: number[] = [];
  for (let index = 0; index < SPAWNS; index += 1) {
    const started = performance.now();
    const record = await hive.peer.call(HIVE_ENDPOINTS.postWorker, {
      body: sleeperOrder(),
    });
    times.push(performance.now() - started);
    if (record.pid === null) throw new Error("cannot bench a spawn: the answer names no process");
  }
  return times;
}

async function versionTimes(command: readonly string[]): Promise<readonly number[]> {
  const times: number[] = [];
  for (let index = 0; index < STARTS; index += 1) {
    const started = performance.now();
    const result = await runCommand([...command, "--version"], { env: { PATH: "/usr/bin:/bin" }, cwd: REPOSITORY });
    if (result.exitCode !== 0) throw new Error(`cannot run ${command.join(" ")} --version: ${result.stderr}`);
    times.push(performance.now() - started);
  }
  return times;
}

/** From the start of `hive run`, as a person types it, to its own word that it listens; each in a new state directory. */
async function listenTimes(command: readonly string[]): Promise<readonly number[]> {
  const times: number[] = [];
  for (let index = 0; index < STARTS; index += 1) {
    await using folder = await temporaryDirectory("qh-bench-run");
    const [program = "", ...words] = command;
    const env = { PATH: "/usr/bin:/bin", HOME: folder.path, HIVE_LISTEN: "127.0.0.1:0" };
    const started = performance.now();
    const child = spawn(program, [...words, "run", "--state-dir", folder.join("state")], {
      env,
      stdio: ["ignore", "ignore", "pipe"],
    });
    const ended = once(child, "exit");
    times.push((await momentOf(child.stderr, LISTENS)) - started);
    child.kill("SIGTERM");
    await ended;
  }
  return times;
}

/** When the log says this. Throws when it ends without. */
async function momentOf(log: Readable, message: string): Promise<number> {
  for await (const line of createInterface(log)) if (line.includes(`"message":"${message}"`)) return performance.now();
  throw new Error(`cannot bench the start: the hive ended without saying "${message}"`);
}
