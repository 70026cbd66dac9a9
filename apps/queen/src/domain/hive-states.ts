import type { HiveIdentity } from "@queen-and-hive/protocol";

/** What ended or threatens our contact with a hive. */
export type SuspicionReason = "stream_closed" | "beats_missed" | "health_failed" | "traffic_failed" | "connect_failed";

/**
 * What a diagnosis found: the daemon answers us; its process is gone; it lives but is mute, as its own host finds; the host
 * answers, but does not say that the daemon is gone or mute; the host itself is out of reach.
 */
export type Finding = "answers" | "gone" | "mute" | "unclear" | "no_host";

/** Timers of a hive; every one is cancelled when the state is left, except `replace`, which ends when it runs. */
export type HiveTimer = "restart" | "retry" | "grace" | "replace" | "reopen";

/** The states of a hive as the queen sees it. A run is carried only where a daemon is known or believed to live. */
export type HiveMachineState =
  | { readonly name: "stopped" }
  /** `recorded`: the daemon that an earlier queen knew; whether it lives is what the look finds out. */
  | { readonly name: "starting"; readonly step: "looking"; readonly recorded: HiveIdentity }
  | { readonly name: "starting"; readonly step: "calling" }
  | { readonly name: "starting"; readonly step: "connecting"; readonly run: HiveIdentity }
  | { readonly name: "running"; readonly run: HiveIdentity; readonly sinceMs: number }
  /**
   * `isHasty`: the link was lost so soon after it stood that the next one waits for a pause. `isMute`: its last diagnosis found
   * it mute.
   */
  | {
      readonly name: "suspect";
      readonly run: HiveIdentity;
      readonly reason: SuspicionReason;
      readonly sinceMs: number;
      readonly isHasty: boolean;
      readonly isMute: boolean;
    }
  | { readonly name: "crashed"; readonly reason: string }
  | { readonly name: "hung"; readonly run: HiveIdentity }
  | { readonly name: "unreachable"; readonly run: HiveIdentity | null; readonly reason: string }
  /** `next`: it rests then, or its workers are stopped too, or it is started again. */
  | {
      readonly name: "stopping";
      readonly run: HiveIdentity | null;
      readonly workers: "stop" | "keep";
      readonly next: "rest" | "stop" | "start";
    }
  /** `hasBeenStopped`: a stop that could not be proven; nobody starts it again by itself. */
  | { readonly name: "failed"; readonly reason: string; readonly hasBeenStopped: boolean };

/** The whole memory of one hive's life cycle. */
export interface HiveMachine {
  readonly state: HiveMachineState;
  /** Starts after a crash or a failed start, over the life of this queen. */
  readonly restarts: number;
  /** When the recent failures happened (milliseconds, any one monotonic scale), for the breaker. */
  readonly recentFailuresMs: readonly number[];
  /** Failures in a row, for the back-off. */
  readonly attempt: number;
  readonly lastError: string | null;
  /** The operator's word: it gets no new work until an operator says otherwise, also after a crash. */
  readonly isDrained: boolean;
  /** When it was first found mute or out of reach since it was last known to be well; null while it is not lost. */
  readonly lostAtMs: number | null;
  /** It has not run for so long that its workers no longer count: others take their place, until it runs. */
  readonly isReplaced: boolean;
}

/** What lists call a hive's state: one that runs and is drained is `draining`. */
export type HiveStateName = HiveMachineState["name"] | "draining";

/** The state of a hive by the name that lists show. */
export function stateNameOf({ state, isDrained }: HiveMachine): HiveStateName {
  return state.name === "running" && isDrained ? "draining" : state.name;
}

/** What happens to a hive. `atMs` is on one monotonic scale. */
export type HiveMachineEvent =
  /** `recorded`: the daemon that an earlier queen knew in the place that is meant now; null or absent when there is none. */
  | { readonly type: "start_requested"; readonly actor?: string; readonly recorded?: HiveIdentity | null }
  /** The recorded daemon lives, is ours, and has been told all that a start would tell it. */
  | { readonly type: "look_answered"; readonly run: HiveIdentity }
  /** `other`: anything but that. `no_host`: the machine itself could not be reached. */
  | { readonly type: "look_failed"; readonly error: string; readonly why: "other" | "no_host"; readonly atMs: number }
  | { readonly type: "start_answered"; readonly run: HiveIdentity }
  /** `final`: time alone does not heal it. `no_host`: the machine itself could not be reached. */
  | {
      readonly type: "start_refused";
      readonly error: string;
      readonly why: "final" | "failed" | "no_host";
      readonly atMs: number;
    }
  | { readonly type: "connected"; readonly run: HiveIdentity; readonly atMs: number }
  | {
      readonly type: "link_lost";
      readonly epoch: number;
      readonly reason: SuspicionReason;
      readonly detail: string;
      readonly atMs: number;
    }
  | { readonly type: "refused"; readonly epoch: number; readonly error: string }
  | {
      readonly type: "diagnosed";
      readonly epoch: number;
      readonly finding: Finding;
      readonly detail: string;
      readonly atMs: number;
    }
  | { readonly type: "announced"; readonly run: HiveIdentity }
  | { readonly type: "daemon_ended"; readonly epoch: number; readonly atMs: number }
  | { readonly type: "daemon_left"; readonly epoch: number; readonly error: string; readonly atMs: number }
  | { readonly type: "timer"; readonly timer: HiveTimer }
  /** `isPassing`: only while it is being removed; a later queen hears nothing of it. */
  | { readonly type: "drain_requested"; readonly actor: string; readonly isPassing?: boolean }
  | { readonly type: "resume_requested"; readonly actor: string }
  | { readonly type: "stop_requested"; readonly workers: "stop" | "keep"; readonly actor?: string }
  | { readonly type: "restart_requested"; readonly actor: string }
  /** `isOthers`: another queen owns it, so nothing was stopped there and nothing proven. */
  | { readonly type: "stop_ended"; readonly left: readonly string[]; readonly isOthers?: boolean };

/** What the shell does after a transition, in this order. */
export type HiveEffect =
  /** Is the recorded daemon the one that answers there, and does its host keep what a start would hand over? */
  | { readonly kind: "look"; readonly recorded: HiveIdentity }
  | { readonly kind: "call_start" }
  | { readonly kind: "connect"; readonly run: HiveIdentity }
  | { readonly kind: "disconnect" }
  | { readonly kind: "diagnose"; readonly run: HiveIdentity }
  | { readonly kind: "end_daemon"; readonly run: HiveIdentity }
  /** Its workers are out of reach: requests on them end. */
  | { readonly kind: "abandon_workers"; readonly reason: string }
  | { readonly kind: "schedule"; readonly timer: HiveTimer; readonly attempt: number }
  | { readonly kind: "stop_hive"; readonly workers: "stop" | "keep" };

/** Limits of the life cycle, from `health` and `restart`. */
export interface HivePolicy {
  /** How long a mute daemon may stay mute before it is called hung. */
  readonly suspectGraceMs: number;
  /** A link that stood for less than this is opened again only after a pause. */
  readonly linkStandsMinMs: number;
  readonly breakerRestarts: number;
  /** Failures older than this are forgiven; a run that lasted this long forgives all. */
  readonly breakerWindowMs: number;
  /** So many hives were lost together that we are the one who is ill: nothing is ended or replaced for now. */
  readonly isFrozen: boolean;
}

/** The start of every hive's life cycle. */
export const INITIAL_HIVE_MACHINE: HiveMachine = {
  state: { name: "stopped" },
  restarts: 0,
  recentFailuresMs: [],
  attempt: 0,
  lastError: null,
  isDrained: false,
  lostAtMs: null,
  isReplaced: false,
};

/** Whether it may be lost. A daemon that is known to be gone or mute on a host that answers has left its workers alive. */
export function isInDoubt({ state }: HiveMachine): boolean {
  return state.name === "suspect" || state.name === "unreachable";
}

/** The daemon that a state knows of, or null. */
export function runOf(state: HiveMachineState): HiveIdentity | null {
  return "run" in state ? state.run : null;
}
