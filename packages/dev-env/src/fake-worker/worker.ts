import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import type { Server } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { WORKER_EXIT } from "@queen-and-hive/protocol/worker-environment";
import { compute } from "./compute.ts";
import type { FaultPlan } from "./faults.ts";
import type { FakeWorkerOptions } from "./options.ts";
import { sendReadyCallbacks } from "./ready-callback.ts";
import { createFakeWorkerServer } from "./server.ts";
import { Slots } from "./slots.ts";
import type { FakeWorkerState } from "./state.ts";
import { Statistics } from "./statistics.ts";

const LOAD_STEPS = 10;
const BUSY_STEP_MS = 50;
const FLOOD_LINE = `${"bees ".repeat(25)}\n`;
const FLOOD_LINES_AT_ONCE = 4_096;

/** Runs a fake worker: listen, load, say ready, serve; with the faults of its plan at their places. */
export async function runFakeWorker(options: FakeWorkerOptions): Promise<void> {
  const { faults } = options;
  const state: FakeWorkerState = { options, statistics: new Statistics(), slots: new Slots(options.slots), progress: 0 };
  if (faults.exitAtStart !== null) return fail(faults.exitAtStart, "cannot start: the fault crash-at-start is on");
  const server = createFakeWorkerServer(state);
  handleTerm(server, faults.ignoresTerm);
  if (faults.leavesGrandchild) leaveGrandchild();
  if (faults.childMiB !== null) forkChild(faults.childMiB);
  if (faults.closesDescriptors) closeDescriptors();
  if (faults.silentLoad !== null) await loadSilently(options.loadMs, faults.silentLoad);
  if (faults.callbackBeforeListen) await sendReadyCallbacks(options, options.port, state.statistics);
  const port = await listen(server, options);
  console.log(`fake worker ${options.workerId} listens on http://${options.host}:${port}`);
  if (faults.floodMiB !== null) await flood(faults.floodMiB);
  if (faults.silentLoad === null) await load(state);
  if (faults.neverReady) return;
  state.statistics.ready = true;
  console.log(`fake worker ${options.workerId} is ready`);
  failLater(faults);
  if (options.ready !== "callback" || faults.callbackBeforeListen) return;
  await sleep(options.callbackDelayMs);
  await sendReadyCallbacks(options, port, state.statistics);
}

async function listen(server: Server, options: FakeWorkerOptions): Promise<number> {
  server.listen(options.port, options.host);
  try {
    await once(server, "listening");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : null;
    fail(code === "EADDRINUSE" ? WORKER_EXIT.portInUse : 1, `cannot listen on ${options.host}:${options.port}: ${String(error)}`);
  }
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : options.port;
}

async function load(state: FakeWorkerState): Promise<void> {
  const { loadMs, faults } = state.options;
  for (let step = 1; step <= LOAD_STEPS; step += 1) {
    if (loadMs > 0) await sleep(loadMs / LOAD_STEPS);
    state.progress = step / LOAD_STEPS;
    if (faults.exitWhileLoading !== null && step === LOAD_STEPS / 2) {
      fail(faults.exitWhileLoading, "cannot load: the fault crash-while-loading is on");
    }
  }
}

async function loadSilently(loadMs: number, manner: "busy" | "idle"): Promise<void> {
  const endMs = performance.now() + loadMs;
  if (manner === "idle") return await sleep(loadMs);
  // TERM must come through now and then.
  while (performance.now() < endMs) {
    compute(BUSY_STEP_MS);
    await sleep(0);
  }
}

/** What goes wrong some time after it became ready. */
function failLater({ exitWhenIdleMs, stopsItselfMs }: FaultPlan): void {
  if (exitWhenIdleMs !== null) setTimeout(() => fail(1, "cannot go on: the fault crash-when-idle is on"), exitWhenIdleMs);
  if (stopsItselfMs !== null) setTimeout(() => process.kill(process.pid, "SIGSTOP"), stopsItselfMs);
}

function handleTerm(server: Server, ignore: boolean): void {
  process.on("SIGTERM", () => {
    if (ignore) return void console.log("fake worker: TERM is ignored");
    server.close();
    process.exit(0);
  });
}

/** A process that no group kill and no search for our variables finds: only its cwd and its output give it away. */
function leaveGrandchild(): void {
  const child = spawn("sleep", ["3600"], { detached: true, stdio: ["ignore", "inherit", "inherit"], env: {} });
  child.unref();
  console.log(`fake worker: left grandchild ${child.pid}`);
}

function forkChild(mebibytes: number): void {
  const script = `globalThis.held = Buffer.alloc(${mebibytes} * 1048576, 1); setInterval(() => 0, 3600_000)`;
  const child = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "inherit", "inherit"] });
  child.unref();
  console.log(`fake worker: forked child ${child.pid}`);
}

/** Standard output and error become /dev/null, as daemons do; whoever held the other end sees end of file. */
function closeDescriptors(): void {
  for (const descriptor of [1, 2]) {
    closeSync(descriptor);
    openSync("/dev/null", "w");
  }
}

async function flood(mebibytes: number): Promise<void> {
  const block = FLOOD_LINE.repeat(FLOOD_LINES_AT_ONCE);
  for (let left = mebibytes * 1_048_576; left > 0; left -= block.length) {
    const part = left < block.length ? block.slice(0, left) : block;
    await new Promise<void>((resolve, reject) => process.stdout.write(part, (error) => (error ? reject(error) : resolve())));
  }
}

function fail(code: number, message: string): never {
  console.error(`fake worker: ${message}`);
  process.exit(code);
}
