import type { TestQueen } from "@queen-and-hive/dev-env";
import type { WorkerRecord } from "@queen-and-hive/protocol";

/** What faults strike and invariants are judged on: a queen whose hives all have a `state_dir` on this machine's disk. */
export interface FaultGround {
  readonly queen: TestQueen;
  /** The folder around all state of her hives: every engine shows a trace of it. */
  readonly folder: string;
  /** The queen's list of workers. */
  workers(): Promise<readonly WorkerRecord[]>;
}
