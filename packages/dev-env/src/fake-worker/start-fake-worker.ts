import { WORKER_ENV } from "@queen-and-hive/protocol";
import { until } from "../clock/until.ts";
import { temporaryDirectory } from "../files/temporary-directory.ts";
import { freePort } from "../net/free-port.ts";
import { killAtExit } from "../processes/kill-at-exit.ts";
import { killProcesses } from "../processes/leave-nothing.ts";
import { type Program, startProgram } from "../processes/program.ts";
import { programCommand, testEnvironment } from "../processes/surroundings.ts";
import type { FakeWorkerStats } from "./statistics.ts";
import { fakeWorkerStats } from "./stats-client.ts";

const START_WITHIN_MS = 10_000;

/** A fake worker that the test itself has started, without a hive. */
export interface RunningFakeWorker extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly program: Program;
  /** What it has counted so far. */
  stats(): Promise<FakeWorkerStats>;
}

/** What a fake worker is started with, beside its flags. */
export interface StartFakeWorkerOptions {
  readonly port?: number;
  /** Variables such as a hive sets, by their names in WORKER_ENV. */
  readonly worker?: Partial<Record<keyof typeof WORKER_ENV, string>>;
  /** What is waited for: that it is `ready` (when not given), that it `listens`, or `nothing` when it is to fail. */
  readonly waitFor?: "ready" | "listens" | "nothing";
}

/** Starts a fake worker with these flags on a free port. The scope's end kills it and what it has left. */
export async function startFakeWorker(
  flags: readonly string[] = [],
  options: StartFakeWorkerOptions = {},
): Promise<RunningFakeWorker> {
  const directory = await temporaryDirectory("qh-fake");
  const guard = killAtExit(directory.path);
  const port = options.port ?? (await freePort());
  const program = await startProgram([...programCommand("fake-worker"), "--port", String(port), ...flags], {
    env: testEnvironment(directory.path, variablesOf(options.worker ?? {})),
    cwd: directory.path,
    logFile: directory.join("fake-worker.log"),
  });
  const url = `http://127.0.0.1:${port}`;
  const worker: RunningFakeWorker = {
    url,
    port,
    program,
    stats: () => fakeWorkerStats(url),
    [Symbol.asyncDispose]: async () => {
      await killProcesses({ folder: directory.path });
      guard[Symbol.dispose]();
      await directory[Symbol.asyncDispose]();
    },
  };
  await waitFor(worker, options.waitFor ?? "ready").catch(async (error: unknown) => {
    const said = program.output();
    await worker[Symbol.asyncDispose]();
    throw new Error(`${String(error)}\n${said}`, { cause: error });
  });
  return worker;
}

async function waitFor(worker: RunningFakeWorker, what: "ready" | "listens" | "nothing"): Promise<void> {
  if (what === "nothing") return;
  const text = what === "ready" ? "is ready\n" : "listens on ";
  await until(() => worker.program.output().includes(text), START_WITHIN_MS, `the fake worker to say "${text.trim()}"`);
}

function variablesOf(worker: Partial<Record<string, string>>): Record<string, string> {
  const names: Readonly<Record<string, string>> = WORKER_ENV;
  const variables: Record<string, string> = {};
  for (const [key, value] of Object.entries(worker)) {
    const name = names[key];
    if (name !== undefined && value !== undefined) variables[name] = value;
  }
  return variables;
}
