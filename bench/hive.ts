import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { REPOSITORY, runCommand, startTestHive, type TestHive, temporaryDirectory } from "@queen-and-hive/dev-env";
import { HIVE_ENDPOINTS, newQueenId, newWorkerId, type SpawnRequest } from "@queen-and-hive/protocol";
import { median } from "./statistics.ts";
import type { Row } from "./table.ts";

const SPAWNS = 15;
const STARTS = 15;
const IDLE_MS = 5_000;
/** What the hive writes into its log once it listens; no terminal reads it here, so it is a JSON line. */
const LISTENS = "the hive listens";
const EXECUTABLE = `${REPOSITORY}/dist/hive-linux-${process.arch}`;

/** Spawn call to running process, memory, and start times; of the executable where `npm run build:hive` has made it. */
export async function benchHive(): Promise<readonly Row[]> {
  const built = existsSync(EXECUTABLE);
  if (!built) console.error(`${EXECUTABLE} is not there, so the sources are measured; \`npm run build:hive\` makes it.`);
  const command = built ? [EXECUTABLE] : [process.execPath, `${REPOSITORY}/apps/hive/src/main.ts`];
  await using hive = await startTestHive({ command });
  await sleep(IDLE_MS);
  const idle = memoryOf(hive.identity.pid);
  const spawns = await spawnTimes(hive);
  const busy = memoryOf(hive.identity.pid);
  const versions = await versionTimes(command);
  const listening = await listenTimes(command);
  const name = built ? "executable" : "sources";
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
  const queen = { queen_id: newQueenId(), queen_epoch: 1, queen_url: "http://127.0.0.1:9" };
  const times: number[] = [];
  for (let index = 0; index < SPAWNS; index += 1) {
    const started = performance.now();
    const record = await hive.peer.call(HIVE_ENDPOINTS.postWorker, {
      body: { worker_id: newWorkerId(), ...queen, spec: sleeper() },
    });
    times.push(performance.now() - started);
    if (record.pid === null) throw new Error("cannot bench a spawn: the answer names no process");
  }
  return times;
}

function sleeper(): SpawnRequest["spec"] {
  const breaker = { restarts: 5, window_s: 300, unready_in_a_row: 3 };
  return {
    model: { id: "sleeper" },
    runtime: { name: "sleeper", command: ["sleep", "1000"], ready: { callback: true } },
    args: [],
    env: {},
    devices: [],
    slots: 1,
    start: { silence_s: null, total_s: null, warmup: false },
    restart: { first_s: 1, factor: 2, max_s: 60, jitter: 0, breaker, retry_open_every_s: null },
    labels: {},
  };
}

/** Anonymous and resident memory of a process, from /proc/<pid>/smaps_rollup (kB there). */
function memoryOf(pid: number): { readonly anonymousBytes: number; readonly residentBytes: number } {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  const kib = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text)?.[1] ?? Number.NaN);
  return { anonymousBytes: kib("Anonymous") * 1_024, residentBytes: kib("Rss") * 1_024 };
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
