import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { Deadline } from "@queen-and-hive/daemon";
import { REPOSITORY, runCommand, startTestHive, type TestHive, temporaryDirectory } from "@queen-and-hive/dev-env";
import { HIVE_ENDPOINTS, newQueenId, newWorkerId, type SpawnRequest } from "@queen-and-hive/protocol";
import { mib, ms, percentile } from "./statistics.ts";
import type { Row } from "./table.ts";

const SPAWNS = 15;
const STARTS = 11;
const EXECUTABLE = `${REPOSITORY}/dist/hive-linux-${process.arch}`;

/** Spawn call to running process, memory, and start times; of the executable where `npm run build:hive` has made it. */
export async function benchHive(): Promise<readonly Row[]> {
  const built = existsSync(EXECUTABLE);
  if (!built) console.error(`${EXECUTABLE} is not there, so the sources are measured; \`npm run build:hive\` makes it.`);
  const command = built ? [EXECUTABLE] : [process.execPath, `${REPOSITORY}/apps/hive/src/main.ts`];
  await using hive = await startTestHive({ command });
  const memory = memoryOf(hive.identity.pid);
  const spawns = await spawnTimes(hive);
  const versions = await versionTimes(command);
  const listening = await listenTimes(command);
  const name = built ? "executable" : "sources";
  return [
    {
      what: "spawn call -> process running and known by identity, p50",
      figure: ms(percentile(spawns, 0.5)),
      aim: "",
      samples: spawns.length,
    },
    { what: "the same, p99", figure: ms(percentile(spawns, 0.99)), aim: "", samples: spawns.length },
    { what: `idle hive (${name}), anonymous memory`, figure: mib(memory.anonymousBytes), aim: "<= 60 MB", samples: 1 },
    { what: `idle hive (${name}), resident memory`, figure: mib(memory.residentBytes), aim: "", samples: 1 },
    {
      what: `hive --version (${name}), median`,
      figure: ms(percentile(versions, 0.5)),
      aim: "<= 60 ms",
      samples: versions.length,
    },
    {
      what: `hive run -> listening (${name}), median`,
      figure: ms(percentile(listening, 0.5)),
      aim: "<= 250 ms",
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

/** From the start of `hive run` to the hand-shake that it writes once it listens, each in a new state directory. */
async function listenTimes(command: readonly string[]): Promise<readonly number[]> {
  const times: number[] = [];
  for (let index = 0; index < STARTS; index += 1) {
    await using folder = await temporaryDirectory("qh-bench-run");
    const [program = "", ...words] = command;
    const env = { PATH: "/usr/bin:/bin", HOME: folder.path, HIVE_LISTEN: "127.0.0.1:0" };
    const started = performance.now();
    const child = spawn(program, [...words, "run", "--state-dir", folder.join("state"), "--handshake-fd", "3"], {
      env,
      stdio: ["ignore", "ignore", "ignore", "pipe"],
    });
    const pipe = child.stdio[3];
    if (pipe == null) throw new Error("cannot bench the start: no pipe");
    await once(pipe, "data", { signal: Deadline.in(15_000).signal() });
    times.push(performance.now() - started);
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    await ended;
  }
  return times;
}
