import { spawn } from "node:child_process";
import { once } from "node:events";
import type { Server } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { WORKER_EXIT } from "@queen-and-hive/protocol/worker-environment";
import type { FakeWorkerOptions } from "./options.ts";
import { sendReadyCallbacks } from "./ready-callback.ts";
import { createFakeWorkerServer } from "./server.ts";
import { Slots } from "./slots.ts";
import type { FakeWorkerState } from "./state.ts";
import { Statistics } from "./statistics.ts";

const LOAD_STEPS = 10;
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
  if (faults.callbackBeforeListen) await sendReadyCallbacks(options, options.port, state.statistics);
  const port = await listen(server, options);
  console.log(`fake worker ${options.workerId} listens on http://${options.host}:${port}`);
  if (faults.floodMiB !== null) await flood(faults.floodMiB);
  await load(state);
  if (faults.neverReady) return;
  state.statistics.ready = true;
  console.log(`fake worker ${options.workerId} is ready`);
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
