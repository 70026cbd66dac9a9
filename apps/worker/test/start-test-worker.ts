import { join } from "node:path";
import {
  type Program,
  programCommand,
  REPOSITORY,
  type RecordingServer,
  startProgram,
  startRecordingServer,
  temporaryDirectory,
  testEnvironment,
} from "@queen-and-hive/dev-env";
import {
  compileValidator,
  newWorkerId,
  valueOrThrow,
  WORKER_ENV,
  type WorkerId,
  type WorkerReadyCallback,
  workerReadyCallbackSchema,
} from "@queen-and-hive/protocol";

/** The model that this repository brings. */
export const TINY_MODEL = join(REPOSITORY, "models", "tiny.gguf");
/** What the hive of these tests gives its workers to call back with. */
export const CALLBACK_TOKEN = "callback-token";

/** How a test worker differs from the usual one. */
export interface TestWorkerOptions {
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** A real worker process and the recording server that plays its hive. */
export interface TestWorker extends AsyncDisposable {
  readonly workerId: WorkerId;
  readonly program: Program;
  readonly hive: RecordingServer;
  /** Waits for the callback and returns what it said. */
  ready(): Promise<WorkerReadyCallback>;
}

const READY_MS = 30_000;

/** Starts a worker with the tiny model on a free port, with the environment that a hive gives it. */
export async function startTestWorker(options: TestWorkerOptions = {}): Promise<TestWorker> {
  const folder = await temporaryDirectory("qh-worker");
  const hive = await startRecordingServer();
  hive.answer(() => ({ status: 200, body: { applied: true } }));
  const workerId = newWorkerId();
  const env = testEnvironment(folder.path, {
    [WORKER_ENV.workerId]: workerId,
    [WORKER_ENV.model]: "tiny",
    [WORKER_ENV.modelPath]: TINY_MODEL,
    [WORKER_ENV.host]: "127.0.0.1",
    [WORKER_ENV.port]: "0",
    [WORKER_ENV.callbackUrl]: `${hive.url}/v1/workers/ready`,
    [WORKER_ENV.callbackToken]: CALLBACK_TOKEN,
    ...options.env,
  });
  const argv = [...programCommand("worker"), ...(options.args ?? [])];
  const program = await startProgram(argv, { env, cwd: folder.path, logFile: folder.join("worker.log") });
  return {
    workerId,
    program,
    hive,
    ready: async () => {
      const [callback] = await hive.received(1, undefined, READY_MS);
      return valueOrThrow(parseReady(callback?.body), "invalid_body", "the callback");
    },
    [Symbol.asyncDispose]: async () => {
      await program[Symbol.asyncDispose]();
      await hive[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

const parseReady = compileValidator<WorkerReadyCallback>(workerReadyCallbackSchema, "refuse");
