import { checkLaunch } from "./launch.ts";
import type { WorkerContext } from "./worker-context.ts";
import type { WorkerFacts } from "./worker-facts.ts";

/** A worker that wants devices for its next incarnation. */
export interface AdmittedWorker {
  readonly context: WorkerContext;
  readonly facts: WorkerFacts;
  readonly signal: AbortSignal;
  readonly onFacts: (facts: WorkerFacts) => void;
}

/** Finds program and model and has devices given. Throws as `checkLaunch` and the admission desk do. */
export async function admitIncarnation({ context, facts, signal, onFacts }: AdmittedWorker): Promise<void> {
  const { command, modelPath } = checkLaunch(context.options, facts);
  const { workerId, spec } = facts;
  const applicant = { workerId, spec, modelPath, words: [...command, ...spec.args] };
  await context.desk.admit(applicant, (grant) => onFacts({ ...facts, ...grant }), signal);
}
