import type { Deadline } from "@queen-and-hive/daemon";
import { QUEEN_ENDPOINTS, type QueenConfigInput, type WorkerRecord } from "@queen-and-hive/protocol";
import { until } from "../clock/until.ts";
import type { FakeWorkerStats } from "../fake-worker/statistics.ts";
import { fakeWorkerStats } from "../fake-worker/stats-client.ts";
import { giveUp } from "../processes/give-up.ts";
import { captureBothWays, type QueenHiveCaptures } from "./capture-both-ways.ts";
import { fakeModel, fakeRuntime } from "./fake-runtime.ts";
import { startTestQueen, type TestQueen } from "./test-queen.ts";

const READY_WITHIN_MS = 30_000;

/** What a test cluster is to be; everything has a default. */
export interface TestClusterOptions {
  /** The ids of the queen's local hives; ["local"] when not given. */
  readonly hives?: readonly string[];
  /** Flags of the fake workers of the model `fake`. */
  readonly workerFlags?: readonly string[];
  /** How many workers of the model `fake` are started at once and at most; 0 and 1 when not given. */
  readonly workers?: { readonly min?: number; readonly max?: number };
  /** True: proxies between the queen and her one hive count every request, and can lose some. */
  readonly capture?: boolean;
  readonly config?: QueenConfigInput;
  readonly env?: Readonly<Record<string, string>>;
}

/** A queen, her running hives and the model `fake` (alias `default`) on fake workers. */
export interface TestCluster extends AsyncDisposable {
  readonly queen: TestQueen;
  /** The queen's list of workers. */
  workers(): Promise<readonly WorkerRecord[]>;
  /** Waits until so many workers are ready and returns them. */
  workersReady(count: number, within?: Deadline | number): Promise<readonly WorkerRecord[]>;
  /** The proxies of `capture: true`. Throws when there are none. */
  readonly captures: QueenHiveCaptures;
  /** What one of the fake workers has counted. */
  stats(worker: WorkerRecord): Promise<FakeWorkerStats>;
}

/** Starts one and waits until its hives are running. */
export async function startTestCluster(options: TestClusterOptions = {}): Promise<TestCluster> {
  const queen = await startTestQueen({
    ...(options.hives === undefined ? {} : { hives: options.hives }),
    ...(options.env === undefined ? {} : { env: options.env }),
    ownHiveProgram: options.capture === true,
    start: false,
    config: {
      models: [fakeModel("fake", "fake", { aliases: ["default"], workers: { min: 0, max: 1, ...options.workers } })],
      ...options.config,
      runtimes: { fake: fakeRuntime(options.workerFlags), ...options.config?.runtimes },
    },
  });
  const captures = options.capture === true ? await captureBothWays(queen) : null;
  const workers = async (): Promise<readonly WorkerRecord[]> => (await queen.peer.call(QUEEN_ENDPOINTS.listWorkers)).workers;
  const cluster: TestCluster = {
    queen,
    workers,
    workersReady: async (count, within = READY_WITHIN_MS) => {
      const ready = async (): Promise<readonly WorkerRecord[] | null> => {
        const found = (await workers()).filter((worker) => worker.state === "ready");
        return found.length >= count ? found : null;
      };
      return await until(ready, within, `${count} ready workers`);
    },
    get captures() {
      if (captures === null) throw new Error("cannot give out captures: start the test cluster with `capture: true`");
      return captures;
    },
    stats: async (worker) => {
      if (worker.url === null) throw new Error(`cannot ask ${worker.worker_id} for its statistics: it has no address`);
      return await fakeWorkerStats(worker.url);
    },
    [Symbol.asyncDispose]: async () => {
      try {
        await queen[Symbol.asyncDispose]();
      } finally {
        await captures?.[Symbol.asyncDispose]();
      }
    },
  };
  try {
    await queen.start();
    await queen.hivesRunning();
    return cluster;
  } catch (error) {
    return await giveUp(cluster, error);
  }
}
