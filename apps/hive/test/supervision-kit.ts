import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  Deadline,
  type ProcessIdentity,
  readProcessIdentity,
  signalProcess,
  silentLog,
  systemClock,
} from "@queen-and-hive/daemon";
import {
  compileValidator,
  newQueenId,
  newWorkerId,
  QhError,
  type RestartPolicySpec,
  type SpawnRequest,
  type WorkerId,
  type WorkerReadyCallback,
  type WorkerRecord,
  type WorkerSpec,
  type WorkerState,
  workerReadyCallbackSchema,
  workerRecordSchema,
} from "@queen-and-hive/protocol";
import { expect } from "vitest";
import type { Supervision, WorkerChange, WorkerExitNotice, WorkerReadyNotice, WorkerStep } from "../src/workers/supervision.ts";
import { createSupervisor } from "../src/workers/supervisor.ts";
import type { SupervisorConfig, SupervisorOptions } from "../src/workers/supervisor-options.ts";
import type { DaemonOrder } from "./supervision-daemon.ts";
import { TestDevices } from "./test-devices.ts";

/** Everything that tests open; closed in reverse order. */
export class Cleanup {
  readonly #steps: (() => Promise<void> | void)[] = [];

  defer(step: () => Promise<void> | void): void {
    this.#steps.push(step);
  }

  async run(): Promise<void> {
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) await step();
  }
}

/** A supervisor on a state directory of its own, with a callback server and a list of what it told the queen. */
export interface TestHive {
  readonly supervision: Supervision;
  readonly stateDir: string;
  readonly stateId: string;
  readonly ready: readonly WorkerReadyNotice[];
  readonly exited: readonly WorkerExitNotice[];
  readonly changes: readonly WorkerChange[];
  readonly steps: readonly WorkerStep[];
  readonly options: SupervisorOptions;
}

/** What a test hive may be given. */
export interface TestHiveParts {
  readonly stateDir?: string;
  readonly stateId?: string;
  readonly config?: Partial<SupervisorConfig>;
  readonly options?: Partial<SupervisorOptions>;
}

/** Opens a supervisor that is not yet recovered; its workers are stopped at the end of the test. */
export async function openTestHive(cleanup: Cleanup, parts: TestHiveParts = {}): Promise<TestHive> {
  const stateDir = parts.stateDir ?? temporaryDir(cleanup);
  const stateId = parts.stateId ?? newStateId();
  const ready: WorkerReadyNotice[] = [];
  const exited: WorkerExitNotice[] = [];
  const changes: WorkerChange[] = [];
  const steps: WorkerStep[] = [];
  const callback = await openCallbackServer(cleanup);
  const options: SupervisorOptions = {
    stateDir,
    hiveId: "test",
    stateId,
    config: await testConfig(parts.config),
    environment: process.env,
    callbackUrl: () => callback.url,
    embeddedWorker: () => ({ unavailable: "there is none in this test" }),
    devices: new TestDevices(),
    notices: {
      workerReady: async (notice) => void ready.push(notice),
      workerExited: async (notice) => void exited.push(notice),
    },
    clock: systemClock,
    log: silentLog,
    ...parts.options,
  };
  const supervision = createSupervisor(options);
  callback.serve(supervision);
  supervision.changes.subscribe((change) => changes.push(change));
  supervision.steps.subscribe((step) => steps.push(step));
  cleanup.defer(async () => {
    await supervision.stopAll(Deadline.in(5_000));
    await supervision[Symbol.asyncDispose]();
  });
  return { supervision, stateDir, stateId, ready, exited, changes, steps, options };
}

/** Small numbers, and a range of ports that is free now. */
export async function testConfig(config: Partial<SupervisorConfig> = {}): Promise<SupervisorConfig> {
  const first = await freePortRange();
  return {
    workerPorts: { first, last: first + 9 },
    portsPerWorker: 1,
    workerHost: "127.0.0.1",
    modelsDir: null,
    modelRoots: null,
    devices: { use: null, keepFreeBytes: 0 },
    env: {},
    runtimes: {},
    stop: { termMs: 2_000, verifyMs: 2_000 },
    limits: {
      workers: 16,
      slotsPerWorker: 64,
      workerLogBytes: 1_000_000,
      workerLogsKept: 2,
      workerStartsKept: 3,
      logTailLines: 50,
    },
    readyProbe: { firstMs: 10, maxMs: 50 },
    health: { everyMs: 100, timeoutMs: 1_000, hungAfterMs: 120_000, replaceAfterMs: 120_000 },
    sampleEveryMs: 100,
    ...config,
  };
}

const validateCallback = compileValidator<WorkerReadyCallback>(workerReadyCallbackSchema, "ignore");
const validateRecord = compileValidator<WorkerRecord>(workerRecordSchema, "refuse");

async function openCallbackServer(cleanup: Cleanup) {
  let supervision: Supervision | null = null;
  const server = createServer((request, response) => {
    let text = "";
    request.on("data", (chunk: Buffer) => {
      text += chunk.toString("utf8");
    });
    request.on("end", async () => {
      const checked = validateCallback(JSON.parse(text));
      try {
        if (!checked.ok || supervision === null) throw new QhError("invalid_body", "cannot accept this callback");
        const answer = await supervision.acceptReady(
          checked.value,
          request.headers.authorization?.replace("Bearer ", "") ?? null,
        );
        response.end(JSON.stringify(answer));
      } catch (error) {
        response.statusCode = error instanceof QhError ? error.status : 500;
        response.end(String(error));
      }
    });
  });
  const port = await listenOn(server, 0);
  cleanup.defer(() => void server.close());
  return {
    url: `http://127.0.0.1:${port}/v1/workers/ready`,
    serve: (own: Supervision) => {
      supervision = own;
    },
  };
}

/** Listens on loopback and returns the port. */
export function listenOn(server: ReturnType<typeof createTcpServer>, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve(portOf(server.address())));
  });
}

function portOf(address: string | AddressInfo | null): number {
  if (address === null || typeof address === "string") throw new Error("a TCP server has a port");
  return address.port;
}

/** The first of ten neighbouring ports that were free a moment ago, below the ports that the kernel gives out. */
async function freePortRange(): Promise<number> {
  for (let attempt = 0; attempt < 50; attempt += 1) {
    const first = 12_000 + Math.floor(Math.random() * 1_800) * 10;
    const servers = Array.from({ length: 10 }, () => createTcpServer());
    const results = await Promise.allSettled(servers.map((server, index) => listenOn(server, first + index)));
    for (const server of servers) server.close();
    if (results.every(({ status }) => status === "fulfilled")) return first;
  }
  throw new Error("no ten neighbouring free ports");
}

/** A directory that is removed at the end of the test. */
export function temporaryDir(cleanup: Cleanup): string {
  const dir = mkdtempSync(join(tmpdir(), "qh-supervision-"));
  cleanup.defer(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** Restarts within milliseconds; the breaker opens as said. */
export function fastRestart(
  breaker: Partial<RestartPolicySpec["breaker"]> = {},
  retryOpenS: number | null = null,
): RestartPolicySpec {
  return {
    first_s: 0.02,
    factor: 2,
    max_s: 0.2,
    jitter: 0.2,
    breaker: { restarts: 3, window_s: 60, unready_in_a_row: 3, ...breaker },
    retry_open_every_s: retryOpenS,
  };
}

/** A spec of a `command` worker that runs a shell script. */
export function shellSpec(
  script: string,
  parts: Partial<WorkerSpec> & { readonly ready?: WorkerSpec["runtime"]["ready"] } = {},
): WorkerSpec {
  const { ready, ...rest } = parts;
  return {
    model: { id: "tiny" },
    runtime: { name: "test", command: ["sh", "-c", script, "worker"], ...(ready === undefined ? {} : { ready }) },
    args: [],
    env: {},
    devices: [],
    slots: "auto",
    start: { silence_s: 20, total_s: 20, warmup: false },
    restart: fastRestart(),
    labels: {},
    ...rest,
  };
}

/** A spec of the Node worker of these tests, which serves /health and calls back. */
export function nodeSpec(
  flags: readonly string[] = [],
  parts: Partial<WorkerSpec> & { readonly ready?: WorkerSpec["runtime"]["ready"] } = {},
): WorkerSpec {
  const program = fileURLToPath(new URL("supervision-worker.mjs", import.meta.url));
  const spec = shellSpec("", parts);
  return { ...spec, runtime: { ...spec.runtime, command: [process.execPath, program, "--port", "{port}"] }, args: [...flags] };
}

/** A spawn request of some queen. */
export function spawnRequest(
  spec: WorkerSpec,
  workerId: WorkerId = newWorkerId(),
): SpawnRequest & { readonly worker_id: WorkerId } {
  return { worker_id: workerId, queen_id: QUEEN_ID, queen_epoch: 1, queen_url: "http://127.0.0.1:1", spec };
}

const QUEEN_ID = newQueenId();

/** Waits until a condition holds; fails with the description after twenty seconds. */
export async function until<T>(
  what: string,
  condition: () => T | null | undefined | false | Promise<T | null | undefined | false>,
): Promise<T> {
  const deadline = Deadline.in(UNTIL_MS);
  while (true) {
    const value = await condition();
    if (value !== null && value !== undefined && value !== false) return value;
    if (deadline.expired) throw new Error(`it never came true that ${what}`);
    await systemClock.sleep(5);
  }
}

const UNTIL_MS = 20_000;

/** Waits until a worker is in a state (of an incarnation) and returns its record, which is checked against the contract. */
export async function untilState(
  hive: TestHive,
  workerId: WorkerId,
  state: WorkerState,
  incarnation?: number,
): Promise<WorkerRecord> {
  const record = await until(`${workerId} is ${state}`, () => {
    const found = hive.supervision.get(workerId);
    return found?.state === state && (incarnation === undefined || found.incarnation === incarnation) ? found : null;
  });
  expect(validateRecord(record)).toMatchObject({ ok: true });
  return record;
}

/** The identity of a record's process. */
export function identityOf(record: WorkerRecord): ProcessIdentity {
  if (record.pid === null || record.start_time === null || record.boot_id === null) throw new Error("the record has no process");
  return { pid: record.pid, start_time: record.start_time, boot_id: record.boot_id };
}

/** The identity of a live process whose pid a worker wrote into a file of its directory. */
export async function identityIn(hive: TestHive, workerId: WorkerId, file: string): Promise<ProcessIdentity> {
  const path = join(hive.stateDir, "workers", workerId, file);
  return await until(`${file} names a live process`, () => {
    const pid = Number(readIfThere(path).trim());
    return pid > 0 ? readProcessIdentity(pid) : null;
  });
}

/** The text of a file; "" while there is none. */
export function readIfThere(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** Whether any process of a state directory lives: by the marker in its environment. */
export function markedPids(stateId: string): readonly number[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && readIfThere(`/proc/${pid}/environ`).includes(`HIVE_STATE_ID=${stateId}`))
    .filter((pid) => readProcessIdentity(pid) !== null);
}

/** A supervisor in a process of its own. */
export interface KillableHive {
  readonly stateDir: string;
  readonly stateId: string;
  readonly config: SupervisorConfig;
  /** What it has said so far, one JSON object a line. */
  said(): string;
  /** `kill -9`, and waits for its end. */
  kill(): Promise<void>;
}

/** Starts a supervisor in a process of its own, which spawns these requests; what it leaves behind is killed at the end. */
export async function startKillableHive(
  cleanup: Cleanup,
  requests: readonly SpawnRequest[],
  config?: Partial<SupervisorConfig>,
  kernel?: SupervisorOptions["kernel"],
): Promise<KillableHive> {
  const stateDir = temporaryDir(cleanup);
  const stateId = newStateId();
  const order: DaemonOrder = {
    stateDir,
    stateId,
    config: await testConfig(config),
    requests,
    ...(kernel === undefined ? {} : { kernel }),
  };
  const file = join(stateDir, "order.json");
  writeFileSync(file, JSON.stringify(order));
  const program = fileURLToPath(new URL("supervision-daemon.ts", import.meta.url));
  const child = spawn(process.execPath, [program, file], { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  child.stdout.on("data", (chunk: Buffer) => {
    text += chunk.toString("utf8");
  });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const kill = async (): Promise<void> => {
    child.kill("SIGKILL");
    await ended;
  };
  cleanup.defer(async () => {
    await kill();
    killMarked(stateId);
  });
  return { stateDir, stateId, config: order.config, said: () => text, kill };
}

/** A new name of a state directory. */
function newStateId(): string {
  return crypto.randomUUID().replaceAll("-", "").slice(0, 24);
}

function killMarked(stateId: string): void {
  for (const pid of markedPids(stateId)) {
    const identity = readProcessIdentity(pid);
    if (identity !== null) signalProcess(identity, "SIGKILL");
  }
}
