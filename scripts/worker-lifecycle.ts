// The worker's life cycle as a page, found by asking the machine itself: every event in every state that can be reached.
import type { RestartPolicySpec, WorkerExit } from "@queen-and-hive/protocol";
import { newWorkerLife, nextWorker } from "../apps/hive/src/domain/worker-machine.ts";
import type { WorkerEvent, WorkerLife } from "../apps/hive/src/domain/worker-states.ts";
import { lifecycleLines, type Transition, TransitionRows } from "./lifecycle-page.ts";

/** The page `docs/reference/worker-lifecycle.md`, without its notice. */
export function workerLifecyclePage(): string {
  return [
    "# The life of a worker\n",
    "From `apps/hive/src/domain/worker-machine.ts`, by asking it for every event in every state that can be reached. What is not",
    "here changes nothing: a late event, a repetition, the word of an incarnation that has ended.\n",
    ...lifecycleLines(exploreTransitions(), "starting", "stopped", "hive"),
  ].join("\n");
}

function exploreTransitions(): readonly Transition[] {
  const rows = new TransitionRows();
  const seen = new Set<string>();
  const open = POLICIES.flatMap((policy) => [false, true].map((warmup) => newWorkerLife(policy, warmup).life));
  for (let life = open.shift(); life !== undefined; life = open.shift()) {
    const key = shapeOf(life);
    if (seen.has(key)) continue;
    seen.add(key);
    for (const event of eventsFor(life.incarnation)) {
      const step = nextWorker(life, event);
      if (step.life === life) continue;
      rows.add(
        life.phase.name,
        event.type,
        step.life.phase.name,
        step.effects.map(({ type }) => type),
      );
      open.push(step.life);
    }
  }
  return rows.sorted(ORDER);
}

/** What of a life decides on its transitions: counters and times would make the search endless. */
function shapeOf({ phase, policy, warmup }: WorkerLife): string {
  const process = "process" in phase && phase.process !== null;
  const held = phase.name === "starting" ? phase.heldReady !== null : phase.name === "loading" && phase.warming !== null;
  const verdict = phase.name === "crashed" ? phase.decision.verdict : "";
  const stop = phase.name === "stopping" ? [phase.reason, phase.launching, phase.stuck] : [];
  return JSON.stringify([phase.name, process, held, verdict, stop, policy.breaker.restarts, warmup]);
}

function eventsFor(incarnation: number): readonly WorkerEvent[] {
  const identity = { pid: 1, start_time: 1, boot_id: "boot" };
  const exit: WorkerExit = { exit_code: 1, signal: null, cause: "unknown", log_tail: [] };
  const facts = { url: "http://127.0.0.1:1", model_ref: "model", backend: "engine", device: "cpu" };
  const moment = { atMs: 0, random: 0.5 };
  return [
    { type: "launched", incarnation, process: { engine: identity, shim: identity } },
    { type: "launch_failed", incarnation, exit, ...moment },
    { type: "ready", incarnation, facts, atMs: 0 },
    { type: "warmed_up", incarnation, atMs: 0 },
    { type: "start_given_up", incarnation, cause: "start_silent" },
    { type: "went_mute", incarnation },
    { type: "answered_again", incarnation },
    { type: "stayed_mute", incarnation },
    { type: "drain_requested" },
    { type: "process_ended", incarnation, exit, ...moment },
    { type: "leftovers_cleared", incarnation },
    { type: "leftovers_found", incarnation },
    { type: "wait_over", incarnation },
    { type: "stop_requested" },
    { type: "stop_proven", exit, ...moment },
    { type: "stop_failed" },
    { type: "stop_retry_due" },
  ];
}

const POLICIES: readonly RestartPolicySpec[] = [1, 1_000].map((restarts) => ({
  first_s: 1,
  factor: 2,
  max_s: 60,
  jitter: 0.2,
  breaker: { restarts, window_s: 300, unready_in_a_row: restarts },
  retry_open_every_s: 300,
}));

const ORDER: readonly string[] = [
  "starting",
  "loading",
  "ready",
  "hung",
  "draining",
  "crashed",
  "backing_off",
  "failed",
  "stopping",
  "stopped",
];
