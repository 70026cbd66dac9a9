import type { ProcessIdentity } from "@queen-and-hive/daemon";
import type { WorkerExit } from "@queen-and-hive/protocol";
import type { PortPool } from "../process/ports.ts";
import type { ProcessViews } from "../process/process-views.ts";
import type { ProcessUse } from "../process/sampler.ts";
import type { WorkerCgroups } from "../process/worker-cgroups.ts";
import type { Ledger } from "../store/ledger.ts";
import type { AdmissionDesk } from "./admission-desk.ts";
import type { DeviceQuarantine } from "./device-quarantine.ts";
import type { StartTurns } from "./start-turns.ts";
import type { WorkerChange, WorkerStep } from "./supervision.ts";
import type { SupervisorOptions } from "./supervisor-options.ts";

/** What all workers of one supervisor share. */
export interface WorkerContext {
  readonly options: SupervisorOptions;
  readonly ledger: Ledger;
  readonly ports: PortPool;
  /** The boot of the machine now. */
  readonly bootId: string;
  /** Looks at the machine's processes that all workers share. */
  readonly views: ProcessViews;
  readonly use: (identity: ProcessIdentity) => ProcessUse | null;
  readonly starts: StartTurns;
  readonly cgroups: WorkerCgroups;
  readonly quarantine: DeviceQuarantine;
  readonly desk: AdmissionDesk;
  readonly publish: (change: WorkerChange) => void;
  readonly publishStep: (step: WorkerStep) => void;
  readonly counts: WorkerCounts;
}

/** The supervisor's own metrics. */
export interface WorkerCounts {
  exited(exit: WorkerExit): void;
  restarted(model: string): void;
}
