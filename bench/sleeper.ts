import { newQueenId, newWorkerId, type SpawnRequest } from "@queen-and-hive/protocol";

const QUEEN_ID = newQueenId();

/** The order to spawn a worker that costs nothing: what is timed is the hive. It never has anything to tell its queen. */
export function sleeperOrder(queenUrl = "http://127.0.0.1:9"): SpawnRequest {
  const breaker = { restarts: 1_000, window_s: 300, unready_in_a_row: 1_000 };
  return {
    worker_id: newWorkerId(),
    queen_id: QUEEN_ID,
    queen_epoch: 1,
    queen_url: queenUrl,
    spec: {
      model: { id: "sleeper" },
      runtime: { name: "sleeper", command: ["sleep", "1000"], ready: { callback: true } },
      args: [],
      env: {},
      devices: [],
      slots: 1,
      start: { silence_s: null, total_s: null, warmup: false },
      restart: { first_s: 0.05, factor: 1, max_s: 1, jitter: 0, breaker, retry_open_every_s: null },
      labels: {},
    },
  };
}
