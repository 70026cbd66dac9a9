import { Deadline } from "@queen-and-hive/daemon";
import type { HiveStopOutcome } from "./host-stop.ts";

/** The stop of one hive that is under way: everybody who has ordered it meanwhile is told its one outcome. */
export class StopUnderWay {
  readonly #ended = Promise.withResolvers<HiveStopOutcome>();
  #deadline = Deadline.never();
  #isRestart: boolean;

  constructor(order: "stop" | "restart") {
    this.#isRestart = order === "restart";
  }

  /** By when it has to be over, by the newest order. */
  get deadline(): Deadline {
    return this.#deadline;
  }

  /** False once a stop was ordered: then the hive is not started again. */
  get isRestart(): boolean {
    return this.#isRestart;
  }

  /** Its outcome; never rejects. */
  get ended(): Promise<HiveStopOutcome> {
    return this.#ended.promise;
  }

  /** Another order, which may be the first. */
  join(order: "stop" | "restart", deadline: Deadline): void {
    this.#deadline = deadline;
    if (order === "stop") this.#isRestart = false;
  }

  end(outcome: HiveStopOutcome): void {
    this.#ended.resolve(outcome);
  }
}
