// The hive's life cycle as a page, found by asking the machine itself: every event in every state that can be reached.
import { type HiveIdentity, parseHiveId } from "@queen-and-hive/protocol";
import { nextHive } from "../apps/queen/src/domain/hive-machine.ts";
import {
  type HiveMachine,
  type HiveMachineEvent,
  type HivePolicy,
  INITIAL_HIVE_MACHINE,
  stateNameOf,
} from "../apps/queen/src/domain/hive-states.ts";
import { lifecycleLines, type Transition, TransitionRows } from "./lifecycle-page.ts";

/** The page `docs/reference/hive-lifecycle.md`, without its notice. */
export function hiveLifecyclePage(): string {
  return [
    "# The life of a hive, as the queen sees it\n",
    "From `apps/queen/src/domain/hive-machine.ts`, by asking it for every event in every state that can be reached. What is not",
    "here changes nothing: a late event, a repetition, the word of a run that has ended. `draining` is a hive that runs and was",
    "drained by an operator; the mark outlives a crash. `replace`: its workers no longer count, so that others are started in their",
    "place; `take back`: they count again. A row lists all that may follow: the grace, the breaker, how long the link stood, and",
    "the guard against mass losses decide what of it does.\n",
    ...lifecycleLines(exploreTransitions(), "stopped", "stopped", "queen"),
  ].join("\n");
}

function exploreTransitions(): readonly Transition[] {
  const rows = new TransitionRows();
  const seen = new Set<string>();
  const open: HiveMachine[] = [INITIAL_HIVE_MACHINE];
  for (let machine = open.shift(); machine !== undefined; machine = open.shift()) {
    const key = JSON.stringify([machine.state, machine.isDrained, machine.isReplaced, machine.lostAtMs !== null]);
    if (seen.has(key)) continue;
    seen.add(key);
    for (const policy of POLICIES) {
      for (const event of EVENTS) {
        const next = nextHive(machine, event, policy);
        if (next.machine === machine && next.effects.length === 0) continue;
        const effects: string[] = next.effects.map((effect) =>
          effect.kind === "schedule" ? `schedule ${effect.timer}` : effect.kind,
        );
        if (machine.isReplaced !== next.machine.isReplaced) effects.push(next.machine.isReplaced ? "replace" : "take back");
        rows.add(stateNameOf(machine), event.type, stateNameOf(next.machine), effects);
        open.push({ ...next.machine, restarts: 0, recentFailuresMs: [], attempt: 0, lastError: null });
      }
    }
  }
  return rows.sorted(ORDER);
}

const RUN: HiveIdentity = {
  hive_id: hiveId("gpu1"),
  hive_epoch: 1,
  pid: 1,
  start_time: 1,
  boot_id: "boot",
  url: "http://127.0.0.1:9200",
  version: "0",
  protocol: { min: 1, max: 1 },
};

/** The same moment for all, so that the search ends; without grace, with an open breaker, and frozen are the other ways. */
const POLICIES: readonly HivePolicy[] = [
  { suspectGraceMs: 10_000, linkStandsMinMs: 3_000, breakerRestarts: 5, breakerWindowMs: 300_000, isFrozen: false },
  { suspectGraceMs: 0, linkStandsMinMs: 0, breakerRestarts: 0, breakerWindowMs: 300_000, isFrozen: false },
  { suspectGraceMs: 0, linkStandsMinMs: 0, breakerRestarts: 5, breakerWindowMs: 300_000, isFrozen: true },
];

const EVENTS: readonly HiveMachineEvent[] = [
  { type: "start_requested" },
  { type: "start_requested", recorded: RUN },
  { type: "look_answered", run: RUN },
  { type: "look_failed", error: "another", why: "other", atMs: 0 },
  { type: "look_failed", error: "no host", why: "no_host", atMs: 0 },
  { type: "start_answered", run: RUN },
  { type: "start_refused", error: "refused", why: "final", atMs: 0 },
  { type: "start_refused", error: "failed", why: "failed", atMs: 0 },
  { type: "start_refused", error: "no host", why: "no_host", atMs: 0 },
  { type: "connected", run: RUN, atMs: 0 },
  { type: "link_lost", epoch: 1, reason: "stream_closed", detail: "closed", atMs: 0 },
  { type: "refused", epoch: 1, error: "refused" },
  { type: "diagnosed", epoch: 1, finding: "answers", detail: "", atMs: 0 },
  { type: "diagnosed", epoch: 1, finding: "gone", detail: "", atMs: 0 },
  { type: "diagnosed", epoch: 1, finding: "mute", detail: "", atMs: 0 },
  { type: "diagnosed", epoch: 1, finding: "unclear", detail: "", atMs: 0 },
  { type: "diagnosed", epoch: 1, finding: "no_host", detail: "", atMs: 0 },
  { type: "announced", run: { ...RUN, hive_epoch: 1 } },
  { type: "daemon_ended", epoch: 1, atMs: 0 },
  { type: "daemon_left", epoch: 1, error: "left", atMs: 0 },
  { type: "timer", timer: "restart" },
  { type: "timer", timer: "retry" },
  { type: "timer", timer: "grace" },
  { type: "timer", timer: "replace" },
  { type: "timer", timer: "reopen" },
  { type: "drain_requested", actor: "operator" },
  { type: "resume_requested", actor: "operator" },
  { type: "stop_requested", workers: "stop" },
  { type: "stop_requested", workers: "keep" },
  { type: "restart_requested", actor: "operator" },
  { type: "stop_ended", left: [] },
  { type: "stop_ended", left: ["a process"] },
];

const ORDER: readonly string[] = [
  "stopped",
  "starting",
  "running",
  "draining",
  "suspect",
  "crashed",
  "hung",
  "unreachable",
  "failed",
  "stopping",
];

function hiveId(text: string): HiveIdentity["hive_id"] {
  const id = parseHiveId(text);
  if (id === null) throw new Error(`cannot use ${text} as the id of a hive`);
  return id;
}
