import { WORKER_HEALTH_DEFAULTS } from "./common.ts";
import type { QueenConfigInput } from "./queen-config.ts";

/** What the queen does when nothing else is said. */
export const QUEEN_CONFIG_DEFAULTS = {
  listen: ["127.0.0.1:8080"],
  state_dir: "~/.local/state/queen",
  keys: [],
  defaults: {
    hive: { on_queen_exit: "stop", presence: "always" },
    model: {
      slots: "auto",
      workers: { min: 0, max: 1 },
      start: { silence: "10m", total: "2h", warmup: false },
      idle_stop: "off",
    },
  },
  hives: [{ id: "local", host: "local" }],
  models: [],
  upstreams: [],
  runtimes: {},
  health: {
    interval: "30s",
    failures: 3,
    timeout: "5s",
    beat: "2s",
    missed_beats: 3,
    suspect_grace: "10s",
    retry: "3s",
    replace_after: "5m",
    start: "15s",
    workers: WORKER_HEALTH_DEFAULTS,
  },
  restart: {
    first: "1s",
    factor: 2,
    max: "60s",
    jitter: 0.2,
    breaker: { restarts: 5, window: "5m", unready_in_a_row: 3 },
    retry_open_every: "5m",
  },
  queue: { max_waiting: 100, max_wait: "60s", load_wait: "30m", sessions_kept: 10_000 },
  stream: { commit_after: "5s", connect: "5s", first_byte: "10m", idle: "5m", total: "off", keep_alive: "10s" },
  retry: { attempts: 3, wait: "2s" },
  limits: {
    body: "50MiB",
    headers: "16KiB",
    receive: "5m",
    whole_answer: "32MiB",
    event: "8MiB",
    connections_per_ip: 200,
  },
  log: { level: "info", format: "auto", max_size: "20MiB", keep: 5 },
  drain: "10m",
  shutdown: { budget: "30s", drain: "10s" },
  stop: { term: "8s", verify: "5s" },
  preflight: { deadline: "20s", program: "5s", clock_skew: "5s", disk_free: "1GiB", memory_free: "512MiB" },
  install: { upload: "15m", keep: 3 },
} as const satisfies QueenConfigInput;
