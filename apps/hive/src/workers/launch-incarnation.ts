import type { WorkerLife, WorkerProcess } from "../domain/worker-states.ts";
import { archiveOutput } from "../process/output-history.ts";
import { outputSize } from "../process/output-log.ts";
import type { WorkerPaths } from "../store/ledger.ts";
import { newCallbackToken } from "./callback-token.ts";
import { checkLaunch, launch } from "./launch.ts";
import { entryOf } from "./ledger-mapping.ts";
import type { WorkerContext } from "./worker-context.ts";
import type { WorkerFacts } from "./worker-facts.ts";

/** The worker that an incarnation is launched for. */
export interface LaunchingWorker {
  readonly context: WorkerContext;
  readonly paths: WorkerPaths;
  readonly life: WorkerLife;
  readonly facts: WorkerFacts;
  readonly signal: AbortSignal;
  /** Told whenever the launch has changed the facts. */
  readonly onFacts: (facts: WorkerFacts) => void;
  /** Told when the intent is on disk and before there is a process. */
  readonly onIntent: () => void;
  /** Takes note of the process, which stands still meanwhile; false when nobody wants it any more. */
  readonly onHeld: (process: WorkerProcess) => Promise<boolean>;
}

/**
 * Takes ports, records the intent, starts the process held, lets its identity be recorded, and only then lets it run.
 * Throws as `launch` does.
 */
export async function launchIncarnation(worker: LaunchingWorker): Promise<void> {
  const { context, paths, life, signal, onFacts, onIntent, onHeld } = worker;
  const { options, ledger, ports, bootId } = context;
  const { workerId, ports: before } = worker.facts;
  const { incarnation } = life;
  signal.throwIfAborted();
  checkLaunch(options, worker.facts);
  context.quarantine.check(worker.facts.devices, workerId);
  await ledger.prepare(workerId);
  ports.release(before);
  onFacts({ ...worker.facts, ports: [] });
  const preferred = life.lastExit?.cause === "port_in_use" ? [] : before;
  const taken = await ports.take(options.config.portsPerWorker, preferred);
  archiveOutput(paths.output, incarnation - 1, options.config.limits.workerStartsKept);
  const token = newCallbackToken(incarnation);
  const facts = factsOfLaunch(worker, taken, token.sha256);
  onFacts(facts);
  await ledger.removeTraces(workerId, incarnation - 1);
  await ledger.removeTraces(workerId, incarnation);
  await ledger.write(workerId, entryOf(life, facts, bootId));
  onIntent();
  const held = await launch({ options, paths, incarnation, facts, token, signal });
  try {
    context.cgroups.hold(workerId, held.process.shim.pid);
    context.cgroups.hold(workerId, held.process.engine.pid);
    if (!(await onHeld(held.process))) signal.throwIfAborted();
  } catch (error) {
    held.abort();
    await held.ended;
    throw error;
  }
  held.release();
}

const OLD_TOKENS_MAX = 8;

function factsOfLaunch({ context, paths, facts }: LaunchingWorker, ports: readonly number[], tokenSha256: string): WorkerFacts {
  const { tokenSha256: before, oldTokensSha256 } = facts;
  return {
    ...facts,
    ports,
    tokenSha256,
    oldTokensSha256: (before === null ? oldTokensSha256 : [before, ...oldTokensSha256]).slice(0, OLD_TOKENS_MAX),
    spawnedAtMs: context.options.clock.nowMs(),
    readyAtMs: null,
    logOffset: outputSize(paths.output),
    progress: null,
    descendants: [],
  };
}
