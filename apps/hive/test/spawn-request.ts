import { COMPILE_CACHE, type FakeReady, fakeWorkerCommand } from "@queen-and-hive/dev-env";
import { newQueenId, newWorkerId, type QueenAddress, type SpawnRequest } from "@queen-and-hive/protocol";

/** A queen of a test, as a hive is told of her. */
export function queenAt(url: string, more: Partial<QueenAddress> = {}): QueenAddress {
  return { queen_id: newQueenId(), queen_epoch: 1, queen_url: url, ...more };
}

/** The order to spawn a fake worker, which says by itself that it is ready. */
export function fakeWorkerOrder(queen: QueenAddress, flags: readonly string[] = [], ready: FakeReady = "callback"): SpawnRequest {
  return {
    worker_id: newWorkerId(),
    queen_id: queen.queen_id,
    queen_epoch: queen.queen_epoch,
    queen_url: queen.queen_url,
    spec: {
      model: { id: "fake" },
      runtime: {
        name: "fake",
        command: fakeWorkerCommand(flags, ready),
        ready: ready === "http" ? { http: "/health" } : { callback: true },
      },
      args: [],
      env: { ...COMPILE_CACHE },
      devices: [],
      slots: "auto",
      start: { silence_s: 30, total_s: null, warmup: false },
      restart: {
        first_s: 0.1,
        factor: 2,
        max_s: 1,
        jitter: 0,
        breaker: { restarts: 5, window_s: 60, unready_in_a_row: 3 },
        retry_open_every_s: null,
      },
      labels: {},
    },
  };
}
