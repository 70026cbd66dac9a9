import type { ModelSettings } from "../config/settings.ts";
import type { EvictionPlan, MissingMemory } from "../domain/eviction.ts";
import { mayRunOn } from "../domain/placement.ts";
import { type FleetContext, isOnItsWay } from "./fleet-context.ts";
import { planRoom } from "./plan-room.ts";
import { type Claim, isSmaller, type Refusal } from "./room-claim.ts";
import type { StartWish } from "./worker-spawner.ts";

/** What making room does to the world. */
export interface RoomMakerEffects {
  /** Asks a hive for a worker; false when none can be asked now. */
  readonly start: (model: ModelSettings, wish: StartWish) => boolean;
  /** Stops a worker once it has finished what it serves; no more is given to it. */
  readonly drain: (workerId: string, cause: string) => Promise<void>;
  /** Whether a worker only finishes what it has. */
  readonly isDraining: (workerId: string) => boolean;
  /** Nothing that could ever make room. */
  readonly giveUp: (modelId: string) => void;
}

interface HivePlan {
  readonly hiveId: string;
  readonly plan: EvictionPlan;
}

/** Pause after something that could not be recorded, milliseconds. */
const LOOK_AGAIN_MS = 1_000;
/** A driver gives memory back a while after the process has gone (0.5 to 1.5 s were measured). */
const MEMORY_RETURNS_WITHIN_MS = 3_000;
const MEMORY_LOOK_EVERY_MS = 250;
/** Others than we may give memory back: a hive is asked again after this time. */
const ASK_AGAIN_MS = 10_000;
/** So long a hive that had no room for one more worker of a model is not asked for another. */
const FULL_FOR_MS = 10_000;

/**
 * Makes room for models that no hive has memory for. They stand in line, first come first served for each hive, so that
 * nobody takes the room that was made for another; whom they get it from is decided in `domain/eviction.ts`. It looks when
 * something has happened, or when the time has come that the plan has named.
 */
export class RoomMaker implements Disposable {
  readonly #context: FleetContext;
  readonly #effects: RoomMakerEffects;
  /** In the order of their arrival. */
  readonly #claims = new Map<string, Claim>();
  /** Hives that had no room for one more worker of a model that has some: `model hive` -> until when. */
  readonly #full = new Map<string, number>();
  /** Hives that are asked again soon. */
  readonly #later = new Set<Disposable>();
  #timer: Disposable | null = null;
  #looking = false;

  constructor(context: FleetContext, effects: RoomMakerEffects) {
    this.#context = context;
    this.#effects = effects;
  }

  /** Whether a worker gets no requests for now, so that another model has its turn. */
  isYielding(workerId: string): boolean {
    return this.#yieldingForMs(workerId) !== null;
  }

  /**
   * Hives that must not be asked for a worker of a model now: others stand in line there, or they had no room for one more.
   * Beside those in line, while nothing is being stopped for them, there may be room for who needs less. Null: the model
   * stands in line itself, and is started when its turn comes.
   */
  closedTo(model: ModelSettings): ReadonlySet<string> | null {
    if (this.#claims.has(model.id)) {
      this.look();
      return null;
    }
    const closed = new Set<string>();
    for (const claim of this.#claims.values()) {
      if (claim.busy || !isSmaller(model, claim)) for (const hiveId of claim.refusals.keys()) closed.add(hiveId);
    }
    const nowMs = this.#context.clock.monotonicMs();
    for (const { hiveId } of this.#context.hives())
      if ((this.#full.get(`${model.id} ${hiveId}`) ?? 0) > nowMs) closed.add(hiveId);
    return closed;
  }

  /** A model without a worker could not be started, since others stand in line for all hives that it could have. */
  standInLine(model: ModelSettings, closed: ReadonlySet<string>): void {
    const hives = this.#context.hives().filter((hive) => closed.has(hive.hiveId) && mayRunOn(model.place, hive));
    if (hives.length === 0) return;
    const claim = this.#claimOf(model);
    for (const { hiveId } of hives) claim.refusals.set(hiveId, this.#refusal(claim, hiveId, null, false));
    this.look();
  }

  /** A hive had no room for a worker. */
  refused(modelId: string, hiveId: string, missing: MissingMemory | null): void {
    const { clock, table, models } = this.#context;
    const model = models.get(modelId);
    if (model === undefined) return;
    if (table.ofModel(model.id).some(({ row }) => row.wanted && row.record.state === "ready")) {
      this.#full.set(`${model.id} ${hiveId}`, clock.monotonicMs() + FULL_FOR_MS);
      return;
    }
    const claim = this.#claimOf(model);
    const { evictedOn } = claim;
    if (evictedOn?.hiveId === hiveId && clock.monotonicMs() - evictedOn.atMs < MEMORY_RETURNS_WITHIN_MS) {
      this.#askLater(claim, hiveId, MEMORY_LOOK_EVERY_MS);
      return;
    }
    claim.refusals.set(hiveId, this.#refusal(claim, hiveId, missing, true));
    const elsewhere = model.perHive === null && this.#start(claim, { except: new Set(this.#refusedBy()) }) === true;
    if (!elsewhere) this.look();
  }

  /** A hive has taken a worker of a model, or the model cannot be started for another reason: it stands in line no more. */
  settled(modelId: string): void {
    const claim = this.#claims.get(modelId);
    if (claim === undefined) return;
    this.#drop(claim);
    this.look();
  }

  /** Something has changed: whose turn is it now? */
  look(): void {
    if (this.#claims.size === 0 || this.#looking || this.#context.stopping()) return;
    this.#looking = true;
    try {
      this.#timer?.[Symbol.dispose]();
      this.#timer = null;
      let nextInMs = Number.POSITIVE_INFINITY;
      const taken = new Set<string>();
      for (const claim of [...this.#claims.values()]) {
        const free = [...claim.refusals.keys()].filter((hiveId) => !taken.has(hiveId));
        for (const hiveId of free) taken.add(hiveId);
        nextInMs = Math.min(nextInMs, this.#serve(claim, free));
      }
      if (Number.isFinite(nextInMs)) this.#timer = this.#context.clock.after(nextInMs, () => this.look());
    } finally {
      this.#looking = false;
    }
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    for (const later of this.#later) later[Symbol.dispose]();
    this.#claims.clear();
  }

  /** Does what can be done for a claim on hives where it is the first in line; in how many milliseconds to look again. */
  #serve(claim: Claim, hiveIds: readonly string[]): number {
    const never = Number.POSITIVE_INFINITY;
    const { table, waiting, hive } = this.#context;
    const own = table.ofModel(claim.model.id).filter(({ row }) => row.wanted && row.record.state !== "failed");
    if (waiting(claim.model.id) === 0 && own.length >= claim.model.workersMin) {
      this.#drop(claim);
      return never;
    }
    if (claim.busy || own.some(({ row }) => isOnItsWay(row.record))) return never;
    const usable = hiveIds.filter((hiveId) => hive(hiveId)?.usable === true);
    for (const hiveId of usable) if (this.#mayHaveRoom(claim, hiveId) && this.#ask(claim, hiveId)) return never;
    const plans = usable.map((hiveId) => ({ hiveId, plan: this.#plan(claim, hiveId) }));
    if (plans.length > 0 && plans.length === claim.refusals.size && plans.every(({ plan }) => plan.kind === "hopeless")) {
      this.#drop(claim);
      this.#effects.giveUp(claim.model.id);
      return never;
    }
    return Math.min(ASK_AGAIN_MS, this.#carryOut(claim, plans));
  }

  #mayHaveRoom(claim: Claim, hiveId: string): boolean {
    const refusal = claim.refusals.get(hiveId);
    if (refusal?.asked !== true || this.#othersOn(claim, hiveId) < refusal.others) return true;
    return this.#context.clock.monotonicMs() - refusal.atMs >= ASK_AGAIN_MS;
  }

  #carryOut(claim: Claim, plans: readonly HivePlan[]): number {
    for (const { hiveId, plan } of plans) {
      if (plan.kind !== "evict") continue;
      this.#evict(claim, hiveId, plan.workerIds);
      return Number.POSITIVE_INFINITY;
    }
    // Workers of one hive yield, not of all hives that could.
    const begun = plans.filter(({ hiveId }) => this.#hasYieldingOn(claim, hiveId));
    for (const { plan } of begun.length > 0 ? begun : plans) {
      if (plan.kind === "yield") for (const workerId of plan.workerIds) this.#yield(claim, workerId);
      else if (plan.kind === "relent") this.#relent(claim);
      else continue;
      return 0;
    }
    return Math.min(...plans.map(({ plan }) => (plan.kind === "wait" ? plan.forMs : Number.POSITIVE_INFINITY)));
  }

  #hasYieldingOn(claim: Claim, hiveId: string): boolean {
    return this.#context.table.ofHive(hiveId).some(({ row }) => claim.yielding.has(row.record.worker_id));
  }

  #plan(claim: Claim, hiveId: string): EvictionPlan {
    const waitedMs = this.#context.clock.monotonicMs() - claim.sinceMs;
    const missing = claim.refusals.get(hiveId)?.missing ?? null;
    const { isDraining } = this.#effects;
    const yieldingForMs = (workerId: string): number | null => this.#yieldingForMs(workerId);
    return planRoom(this.#context, { hiveId, modelId: claim.model.id, waitedMs, missing, isDraining, yieldingForMs });
  }

  #yieldingForMs(workerId: string): number | null {
    for (const { yielding } of this.#claims.values()) {
      const sinceMs = yielding.get(workerId);
      if (sinceMs !== undefined) return this.#context.clock.monotonicMs() - sinceMs;
    }
    return null;
  }

  /** A claim whose workers have made room is asked for again; one that could not be recorded does not block the others. */
  #evict(claim: Claim, hiveId: string, workerIds: readonly string[]): void {
    const { clock, log } = this.#context;
    claim.busy = true;
    Promise.all(workerIds.map((workerId) => this.#effects.drain(workerId, "evicted")))
      .then(() => {
        claim.busy = false;
        claim.evictedOn = { hiveId, atMs: clock.monotonicMs() };
        if (this.#claims.get(claim.model.id) === claim) this.#ask(claim, hiveId);
        else this.look();
      })
      .catch((error: unknown) => {
        log.error("cannot go on making room for a model; it is tried again", { error, model: claim.model.id });
        this.#askLater(claim, hiveId, LOOK_AGAIN_MS);
      });
  }

  /** Asks a hive again. While it has not answered, it still counts as refusing, so that nobody else comes first. */
  #ask(claim: Claim, hiveId: string): boolean {
    const before = claim.refusals.get(hiveId);
    // Somebody has left since it refused: that memory may be on its way back still.
    if (before !== undefined && this.#othersOn(claim, hiveId) < before.others)
      claim.evictedOn = { hiveId, atMs: this.#context.clock.monotonicMs() };
    claim.refusals.set(hiveId, this.#refusal(claim, hiveId, before?.missing ?? null, true));
    const isStarted = this.#start(claim, { onHive: hiveId });
    if (isStarted === null) this.#askLater(claim, hiveId, LOOK_AGAIN_MS);
    return isStarted ?? true;
  }

  #askLater(claim: Claim, hiveId: string, inMs: number): void {
    claim.busy = true;
    const later = this.#context.clock.after(inMs, () => {
      this.#later.delete(later);
      claim.busy = false;
      if (this.#claims.get(claim.model.id) === claim) this.#ask(claim, hiveId);
    });
    this.#later.add(later);
  }

  /** Null when it could not be recorded, and so was not done. */
  #start(claim: Claim, wish: StartWish): boolean | null {
    try {
      return this.#effects.start(claim.model, wish);
    } catch (error) {
      this.#context.log.error("cannot record the worker that room was made for", { error, model: claim.model.id });
      return null;
    }
  }

  /** A busy worker finishes what it has; it is stopped for the claim once it is idle. */
  #yield(claim: Claim, workerId: string): void {
    const entry = this.#context.table.get(workerId);
    if (entry === null) return;
    claim.yielding.set(workerId, this.#context.clock.monotonicMs());
    this.#context.table.changes.publish(entry.row.record.model);
  }

  #drop(claim: Claim): void {
    this.#claims.delete(claim.model.id);
    this.#relent(claim);
  }

  /** Whoever has yielded to a claim is given requests again. */
  #relent(claim: Claim): void {
    claim.sinceMs = this.#context.clock.monotonicMs();
    const models = new Set([...claim.yielding.keys()].flatMap((id) => this.#context.table.get(id)?.row.record.model ?? []));
    claim.yielding.clear();
    for (const model of models) this.#context.table.changes.publish(model);
  }

  #claimOf(model: ModelSettings): Claim {
    const known = this.#claims.get(model.id);
    if (known !== undefined) return known;
    const sinceMs = this.#context.clock.monotonicMs();
    const claim: Claim = { model, sinceMs, refusals: new Map(), yielding: new Map(), busy: false, evictedOn: null };
    this.#claims.set(model.id, claim);
    return claim;
  }

  #refusal(claim: Claim, hiveId: string, missing: MissingMemory | null, asked: boolean): Refusal {
    return { missing, asked, others: this.#othersOn(claim, hiveId), atMs: this.#context.clock.monotonicMs() };
  }

  #othersOn(claim: Claim, hiveId: string): number {
    return this.#context.table.ofHive(hiveId).filter(({ row }) => row.record.model !== claim.model.id).length;
  }

  #refusedBy(): readonly string[] {
    return [...this.#claims.values()].flatMap((claim) => [...claim.refusals.keys()]);
  }
}
