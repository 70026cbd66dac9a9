import type { WorkerExit } from "@queen-and-hive/protocol";
import { classifyExit } from "../domain/exit-cause.ts";
import type { ExitStatus } from "../domain/exit-status.ts";
import type { OomKills } from "../domain/oom-kills.ts";
import type { ReadyFacts, WorkerEvent, WorkerLife, WorkerProcess } from "../domain/worker-states.ts";
import type { KnownProcesses } from "../process/find-ours.ts";
import { OomWatch, readOomKills, VMSTAT } from "../process/oom-watch.ts";
import { outputTail } from "../process/output-log.ts";
import { descendantKeys, isLiveKey, type ProcessTable, processKey } from "../process/process-table.ts";
import { watchProcess } from "../process/process-watch.ts";
import { Sightings } from "../process/sightings.ts";
import type { WorkerPaths } from "../store/ledger.ts";
import { type DeviceSigns, deviceSignsOf } from "./device-signs.ts";
import { HealthWatch } from "./health-watch.ts";
import { StartWatch } from "./start-watch.ts";
import type { WorkerContext } from "./worker-context.ts";
import { type WorkerFacts, workerUrl } from "./worker-facts.ts";

/** Whose processes are watched, and who hears of it. */
export interface WatchedWorker {
  readonly context: WorkerContext;
  readonly paths: WorkerPaths;
  readonly facts: () => WorkerFacts;
  readonly life: () => WorkerLife;
  /** Resolves once the event was taken note of. */
  readonly tell: (event: WorkerEvent) => Promise<boolean>;
  /** For events that nobody waits for. */
  readonly tellLater: (event: WorkerEvent) => void;
  readonly onProgress: (progress: string | null) => void;
}

/** The eyes on one worker: which processes are its own, whether its engine lives, and how far its start has come. */
export class WorkerWatches implements Disposable {
  readonly #worker: WatchedWorker;
  readonly #sessions = new Map<number, number>();
  readonly #keys = new Set<string>();
  #watch: Disposable | null = null;
  #startWatch: StartWatch | null = null;
  #healthWatch: HealthWatch | null = null;
  #oom = new OomWatch();
  #sightings: Sightings | null = null;

  constructor(worker: WatchedWorker) {
    this.#worker = worker;
  }

  /** What a sweep knows of this worker's processes. */
  get known(): KnownProcesses {
    return { sessions: this.#sessions, keys: this.#keys };
  }

  /** Remembers the processes of this incarnation; those of another boot are gone, and their numbers are others' now. */
  know({ engine, shim }: WorkerProcess): void {
    if (shim.boot_id !== this.#worker.context.bootId) return;
    this.#sessions.set(shim.pid, shim.start_time);
    this.#keys.add(processKey(shim.pid, shim)).add(processKey(engine.pid, engine));
  }

  /** A process of a new incarnation stands ready: from here on a kill for lack of memory may have been its own. */
  begin(process: WorkerProcess): void {
    this.know(process);
    this.#oom.lives(this.#oomKillsNow());
    this.#note();
  }

  /** Takes over what the last daemon of this boot had seen, and these keys beside it; returns the keys of all. */
  recall(keys: readonly string[]): readonly string[] {
    const { context, facts } = this.#worker;
    const seen = this.#seen().recall();
    for (const key of [...keys, ...(seen?.keys ?? [])]) this.#keys.add(key);
    this.#oom.recall(seen?.oomKills ?? null);
    if (seen !== null && seen.cgroup !== null) context.cgroups.recall(facts().workerId, seen.cgroup);
    return [...this.#keys];
  }

  /** The engine lives: notes where the processes below the shim have gone meanwhile, and forgets the dead; returns the keys of all. */
  learn(table: ProcessTable, process: WorkerProcess): readonly string[] {
    for (const key of this.#keys) if (!isLiveKey(table, key)) this.#keys.delete(key);
    this.know(process);
    for (const key of descendantKeys(table, [process.shim, process.engine])) this.#keys.add(key);
    if (isLiveKey(table, processKey(process.engine.pid, process.engine))) this.#oom.lives(this.#oomKillsOfLiving());
    this.#note();
    return [...this.#keys];
  }

  /** Forgets the processes of the incarnation before. */
  forget(): void {
    this.#sessions.clear();
    this.#keys.clear();
    this.#oom = new OomWatch();
    this.#sightings = null;
  }

  /** Hears of the end of the process. */
  watch(process: WorkerProcess): void {
    const { context, paths, tellLater } = this.#worker;
    const { incarnation } = this.#worker.life();
    const { clock, log } = context.options;
    this.#watch = watchProcess({
      process,
      alivePath: paths.alive(incarnation),
      exitPath: paths.exit(incarnation),
      clock,
      log,
      onEnd: (status) =>
        tellLater({
          type: "process_ended",
          incarnation,
          exit: this.describeEnd(status),
          atMs: clock.nowMs(),
          random: Math.random(),
        }),
    });
  }

  /** Looks for readiness, and for the signs of life of a start. */
  watchStart(process: WorkerProcess): void {
    const { context, paths, tell, tellLater, onProgress } = this.#worker;
    const { incarnation } = this.#worker.life();
    const { spec, ports, spawnedAtMs, logOffset } = this.#worker.facts();
    const { clock, config, log } = context.options;
    const url = workerUrl(config.workerHost, ports[0] ?? 0);
    this.#startWatch = new StartWatch({
      spec,
      process,
      url,
      key: this.#key(),
      outputPath: paths.output,
      outputFrom: logOffset,
      alreadyMs: Math.max(0, clock.nowMs() - (spawnedAtMs ?? clock.nowMs())),
      pauses: config.readyProbe,
      views: context.views,
      deviceSigns: () => this.#deviceSigns(),
      clock,
      log,
      onReady: async (slots) => {
        await tell({ type: "ready", incarnation, facts: this.#foundReady(url, slots), atMs: clock.nowMs() });
      },
      onWarm: async () => {
        await tell({ type: "warmed_up", incarnation, atMs: clock.nowMs() });
      },
      onGiveUp: (cause) => tellLater({ type: "start_given_up", incarnation, cause }),
      onProgress,
    });
    this.#startWatch.start();
  }

  /** Its output begins anew; `partFrom` as `OutputRotation` tells it. */
  outputRotated(partFrom: number | null): void {
    this.#startWatch?.outputRotated(partFrom);
  }

  /** The worker no longer starts: it is ready, gone, or being ended. */
  startNoMore(): void {
    this.#startWatch?.[Symbol.dispose]();
    this.#startWatch = null;
  }

  /** It says that it is ready, and a first token is wanted before that counts. */
  warmUp(): void {
    this.#startWatch?.warmUp();
  }

  /** Looks whether a worker that was ready still serves or makes progress. */
  watchHealth(): void {
    const { context, paths, facts, life, tellLater } = this.#worker;
    const { incarnation, phase } = life();
    if (phase.name !== "ready" && phase.name !== "hung") return;
    const { clock, config, log } = context.options;
    this.#healthWatch = new HealthWatch({
      spec: facts().spec,
      process: phase.process,
      url: phase.facts.url,
      key: this.#key(),
      outputPath: paths.output,
      isHung: () => life().phase.name === "hung",
      settings: config.health,
      views: context.views,
      deviceSigns: () => this.#deviceSigns(),
      clock,
      log,
      onMute: () => tellLater({ type: "went_mute", incarnation }),
      onAnswer: () => tellLater({ type: "answered_again", incarnation }),
      onStayedMute: () => tellLater({ type: "stayed_mute", incarnation }),
    });
    this.#healthWatch.start();
  }

  /** Requests to the worker get no answer: its health path is not believed any more. */
  doubt(): void {
    this.#healthWatch?.doubt();
  }

  healthNoMore(): void {
    this.#healthWatch?.[Symbol.dispose]();
    this.#healthWatch = null;
  }

  [Symbol.dispose](): void {
    this.startNoMore();
    this.healthNoMore();
    this.#watch?.[Symbol.dispose]();
    this.#watch = null;
  }

  /** How this incarnation ended, with its last words and the cause that they tell. */
  describeEnd(status: ExitStatus): WorkerExit {
    const logTail = this.#lastWords();
    const oomKills = this.#oom.evidence(this.#oomKillsNow());
    const { causes } = this.#worker.facts().spec.runtime;
    const cause = classifyExit({ status, oomKills, logTail, causes });
    return { exit_code: status.exitCode, signal: status.signal, cause, log_tail: [...logTail] };
  }

  /** None where they cannot be read: the end itself is told all the same. */
  #lastWords(): readonly string[] {
    const { context, paths, facts } = this.#worker;
    const { config, log } = context.options;
    try {
      return outputTail(paths.output, config.limits.logTailLines, facts().logOffset);
    } catch (error) {
      log.warn("cannot read the last words of a worker", { error, path: paths.output });
      return [];
    }
  }

  #key(): string | null {
    return this.#worker.context.options.workerKey?.(this.#worker.facts().workerId) ?? null;
  }

  /** What the kernel counts while the engine lives: of the machine it is read once for all workers that are looked at. */
  #oomKillsOfLiving(): OomKills {
    const { context, facts } = this.#worker;
    const machine = context.views.oomKills(context.options.kernel?.vmstat ?? VMSTAT);
    return { machine, worker: context.cgroups.oomKills(facts().workerId) };
  }

  /** What the kernel counts now, or counted when the engine was killed. */
  #oomKillsNow(): OomKills {
    const { context, paths, facts, life } = this.#worker;
    const atEnd = readOomKills(paths.oomKills(life().incarnation));
    const machine = atEnd ?? readOomKills(context.options.kernel?.vmstat ?? VMSTAT);
    return { machine, worker: context.cgroups.oomKills(facts().workerId) };
  }

  #seen(): Sightings {
    const { context, paths, life } = this.#worker;
    this.#sightings ??= new Sightings(paths.seen(life().incarnation), context.bootId, context.options.log);
    return this.#sightings;
  }

  #note(): void {
    const { context, facts } = this.#worker;
    const cgroup = context.cgroups.dirOf(facts().workerId);
    this.#seen().note({ keys: [...this.#keys], cgroup, oomKills: this.#oom.baseline });
  }

  #deviceSigns(): DeviceSigns {
    return deviceSignsOf(this.#worker.context.options.devices.latest, this.#worker.facts().devices);
  }

  /** What is known of a worker that a probe or a log line found ready. */
  #foundReady(url: string, slots: number | null): ReadyFacts {
    const { spec, devices } = this.#worker.facts();
    return {
      url,
      model_ref: spec.model.path ?? spec.model.id,
      backend: spec.runtime.name,
      device: devices.join(",") || "unknown",
      ...(slots === null ? {} : { slots: Math.min(slots, this.#worker.context.options.config.limits.slotsPerWorker) }),
    };
  }
}
