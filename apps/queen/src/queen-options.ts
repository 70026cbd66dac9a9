import type { Clock, Deadline, Log, Metrics } from "@queen-and-hive/daemon";
import type { HiveFate, QueenShutdown, QueenShutdownAnswer } from "@queen-and-hive/protocol";
import type { QueenSettings } from "./config/settings.ts";
import type { QueenView } from "./http/queen-view.ts";

/** What a queen is started with. */
export interface QueenOptions {
  readonly settings: QueenSettings;
  readonly log: Log;
  /** Reads the configuration again: a hive may have been added to it. Throws `invalid_config`. */
  readonly reload: () => QueenSettings;
  readonly clock?: Clock;
  /** Where she counts; an empty set when absent. */
  readonly metrics?: Metrics;
  /** Where hives are told to call back; the first listener when absent. */
  readonly callbackUrl?: string;
}

/** A queen that serves. */
export interface RunningQueen {
  /** Where she listens, Unix socket last. */
  readonly urls: readonly string[];
  readonly queenId: string;
  readonly queenEpoch: number;
  readonly view: QueenView;
  /** The stop cascade; the first call decides how, every call gets its outcome. Her servers still answer afterwards. */
  stop(hives: QueenShutdown["hives"], actor: string, onFate?: (fate: HiveFate) => void): Promise<QueenShutdownAnswer>;
  /** A second Ctrl-C: open streams are ended now, hives get little time. */
  hurry(): void;
  /** Resolves with the outcome once a cascade is over, whoever asked for it. */
  readonly stopped: Promise<QueenShutdownAnswer>;
  /** Resolves when the state directory's lock was lost: she must end. */
  readonly lockLost: Promise<void>;
  /** Closes servers, store and lock; hives are let go as they are. */
  close(deadline: Deadline): Promise<void>;
}
