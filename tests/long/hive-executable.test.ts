import { randomBytes } from "node:crypto";
import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createPeer, fieldOf, type Peer } from "@queen-and-hive/daemon";
import {
  freePort,
  freePortRange,
  HiveCommands,
  isPortFree,
  processesOf,
  REPOSITORY,
  type RecordedRequest,
  type RecordingServer,
  runCommand,
  startRecordingServer,
  testEnvironment,
} from "@queen-and-hive/dev-env";
import {
  HIVE_ENDPOINTS,
  type HiveStartAnswer,
  newQueenId,
  newWorkerId,
  type RuntimeRecipe,
  type WorkerId,
  type WorkerSpec,
} from "@queen-and-hive/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BUILT, buildHive } from "./built-hive.ts";
import { type MinimalRoot, openMinimalRoot } from "./minimal-root.ts";

const BUILD_WITHIN_MS = 600_000;
const READY_WITHIN_MS = 60_000;

const token = randomBytes(24).toString("hex");
const queenId = newQueenId();
let root: MinimalRoot;
let queen: RecordingServer;
let hive: HiveCommands;
let started: HiveStartAnswer;
let peer: Peer;

beforeAll(async () => {
  await buildHive();
  root = await openMinimalRoot();
  mkdirSync(join(root.path, "opt", "hive"), { recursive: true });
  mkdirSync(join(root.path, "srv", "models"), { recursive: true });
  copyFileSync(BUILT.executable, join(root.path, "opt", "hive", "hive"));
  cpSync(join(REPOSITORY, "models", "tiny.gguf"), join(root.path, "srv", "models", "tiny.gguf"));
  await must(["gcc", "-O1", "-static", "-o", join(root.path, "opt", "tiny-engine"), "tests/long/tiny-engine.c"], REPOSITORY);
  queen = await startRecordingServer();
  queen.answer(() => ({ status: 200, body: { applied: true } }));
  hive = new HiveCommands({
    stateDir: "/var/lib/hive",
    cwd: "/",
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", HOME: "/root" },
    command: [...root.enter, "/opt/hive/hive"],
  });
});

afterAll(async () => {
  await peer?.[Symbol.asyncDispose]();
  await queen?.[Symbol.asyncDispose]();
  await root?.[Symbol.asyncDispose]();
});

describe("the hive as one executable file in a minimal Debian", () => {
  it("names its version and the commit that it was built from", async () => {
    const { stdout } = await inside(["/opt/hive/hive", "--version"]);
    const head = (await runCommand(["git", "rev-parse", "HEAD"], { env: testEnvironment("/"), cwd: REPOSITORY })).stdout.trim();
    expect(stdout).toMatch(/^hive \d+\.\d+\.\d+ \([0-9a-f]{40}(-dirty)?\)\n$/);
    expect(stdout).toContain(head);
  });

  it("starts as a daemon and answers to its token", async () => {
    const listen = `127.0.0.1:${await freePort()}`;
    const { text } = await freePortRange(10);
    started = await hive.start({
      config: { hive_id: "minimal", listen, worker_ports: text, models_dir: "/srv/models" },
      secrets: { token },
      queen: { queen_id: queenId, queen_epoch: 1, queen_url: queen.url },
    });
    expect(started).toMatchObject({ hive_id: "minimal", already_running: false, url: `http://${listen}` });
    peer = createPeer({ url: started.url, token: () => token, name: "minimal", timeoutMs: 30_000, maxSockets: 8 });
    expect(await peer.call(HIVE_ENDPOINTS.getHealth)).toMatchObject({ hive_id: "minimal", pid: started.pid });
    await queen.received(1, isFor("/v2/hives/ready"));
    expect((await hive.start()).already_running).toBe(true);
  });

  it("spawns a worker that needs nothing but sh and libc, says when it is ready, and stops it", async () => {
    const command = ["/bin/sh", "-c", 'exec /opt/tiny-engine "$0" "$1"', "{host}", "{port}"];
    const workerId = await spawn({ name: "tiny-engine", command, ready: { http: "/health" } });
    const url = await readyUrlOf(workerId);
    expect(await chat(url)).toBe("a hive is a house of bees");
    expect(await peer.call(HIVE_ENDPOINTS.deleteWorker, { params: { worker_id: workerId } })).toMatchObject({
      worker_id: workerId,
    });
    expect(await isPortFree(Number(new URL(url).port))).toBe(true);
    expect(commandsInside().filter((command) => command.includes("tiny-engine"))).toEqual([]);
  });

  it("refuses `embedded` by name while its bundle is not there", async () => {
    const refused = spawn({ name: "embedded" }, "tiny.gguf");
    await expect(refused).rejects.toMatchObject({ kind: "runtime_unavailable", message: expect.stringContaining("hive-worker") });
    const { runtimes } = await peer.call(HIVE_ENDPOINTS.getCapabilities);
    expect(runtimes.find(({ name }) => name === "embedded")).toMatchObject({ available: false });
  });

  it("answers a chat from the embedded worker once its bundle is unpacked beside the executable", async () => {
    expect(existsSync(BUILT.workerBundle)).toBe(true);
    await must(["tar", "-xzf", BUILT.workerBundle, "-C", join(root.path, "opt", "hive")], REPOSITORY);
    const workerId = await spawn({ name: "embedded" }, "tiny.gguf");
    const words = (await chat(await readyUrlOf(workerId))).match(/[a-z]{2,}/gi) ?? [];
    expect(words.length).toBeGreaterThanOrEqual(5);
  });

  it("stops with its worker and leaves no process and no port", async () => {
    const answer = await hive.stop();
    expect(answer).toMatchObject({ hive_id: "minimal", was_running: true, left: [] });
    expect(answer.stopped.map(({ what }) => what).sort()).toEqual(["hive", "worker"]);
    expect(commandsInside()).toEqual(["sleep infinity"]);
    expect(await isPortFree(Number(new URL(started.url).port))).toBe(true);
    expect((await hive.status()).state).toBe("stopped");
  });
});

async function spawn(runtime: RuntimeRecipe, path?: string): Promise<WorkerId> {
  const workerId = newWorkerId();
  const spec: WorkerSpec = {
    model: { id: runtime.name, ...(path === undefined ? {} : { path }) },
    runtime,
    args: [],
    env: {},
    devices: [],
    slots: "auto",
    start: { silence_s: 60, total_s: 120, warmup: false },
    restart: {
      first_s: 1,
      factor: 2,
      max_s: 60,
      jitter: 0,
      breaker: { restarts: 5, window_s: 300, unready_in_a_row: 3 },
      retry_open_every_s: 300,
    },
    labels: {},
  };
  const body = { worker_id: workerId, queen_id: queenId, queen_epoch: 1, queen_url: queen.url, spec };
  await peer.call(HIVE_ENDPOINTS.postWorker, { body });
  return workerId;
}

/** The address in the ready message that the hive sends to the queen. */
async function readyUrlOf(workerId: WorkerId): Promise<string> {
  const isReady = (request: RecordedRequest): boolean =>
    isFor("/v2/workers/ready")(request) && fieldOf(request.body, "worker_id") === workerId;
  const [message] = await queen.received(1, isReady, READY_WITHIN_MS).catch(async (error: unknown) => {
    const log = await peer.call(HIVE_ENDPOINTS.getWorkerLogs, { params: { worker_id: workerId }, query: { tail: "50" } });
    throw new Error(`${String(error)}\n${log}`, { cause: error });
  });
  expect(message?.headers["authorization"]).toBe(`Bearer ${token}`);
  return String(fieldOf(message?.body, "url"));
}

async function chat(url: string): Promise<string> {
  const body = { messages: [{ role: "user", content: "What is a hive?" }], temperature: 0, max_tokens: 20 };
  const headers = { "content-type": "application/json" };
  const response = await fetch(`${url}/v1/chat/completions`, { method: "POST", headers, body: JSON.stringify(body) });
  const answer: unknown = await response.json();
  const choices = fieldOf(answer, "choices");
  return String(fieldOf(fieldOf(Array.isArray(choices) ? choices[0] : null, "message"), "content"));
}

/** The command lines of all processes in the minimal root, by looking from outside. */
function commandsInside(): readonly string[] {
  return processesOf({ folder: root.path })
    .filter(({ identity }) => existsSync(`/proc/${identity.pid}`) && isInside(identity.pid))
    .map(({ command }) => command);
}

function isInside(pid: number): boolean {
  return readFileSync(`/proc/${pid}/status`, "utf8").match(/^NSpid:\t\d+\t\d+/m) !== null;
}

function inside(argv: readonly string[]) {
  return must([...root.enter, ...argv], "/");
}

async function must(argv: readonly string[], cwd: string) {
  const result = await runCommand(argv, { env: testEnvironment("/tmp"), cwd, withinMs: BUILD_WITHIN_MS });
  if (result.exitCode !== 0)
    throw new Error(`cannot run ${argv.join(" ")}: ${result.exitCode}\n${result.stdout}${result.stderr}`);
  return result;
}

function isFor(path: string): (request: RecordedRequest) => boolean {
  return ({ url }) => url === path;
}
