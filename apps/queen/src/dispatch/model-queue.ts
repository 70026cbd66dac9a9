import type { QhError } from "@queen-and-hive/protocol";
import {
  estimatedWaitMs,
  nextServiceMs,
  type QueueClock,
  readQueueClock,
  remainingWaitMs,
  retryAfterS,
  startQueueClock,
  switchQueueClock,
  type Waited,
  waitedSince,
} from "../domain/queue.ts";
import { FairLine } from "../domain/queue-line.ts";
import { pickWorker, type WorkerLoad } from "../domain/scheduling.ts";
import type { ReadyWorker } from "../workers/worker-directory.ts";
import { modelUnavailable, queueFull, waitedTooLong } from "./queue-errors.ts";
import type { ModelQueueParts } from "./queue-parts.ts";
import { SessionHomes } from "./session-homes.ts";
import type { Lease, LeaseRequest, QueueOutlook, Ticket } from "./ticket.ts";
import { incarnationKey } from "./worker-occupancy.ts";

const NOTHING_WAITED: Waited = { slotMs: 0, loadMs: 0 };

interface Candidate extends WorkerLoad {
  readonly worker: ReadyWorker;
}

/**
 * The requests that wait for one model; their clients take turns. It looks at the workers only when something has
 * happened: a request came, a slot was given back, the directory fired. One timer ends the oldest when it is too old.
 */
export class ModelQueue {
  readonly #parts: ModelQueueParts;
  readonly #line = new FairLine<Ticket>();
  readonly #homes: SessionHomes;
  #queueClock: QueueClock;
  #serviceMs = 0;
  #expiry: Disposable | null = null;
  #pumping = false;
  #pumpAgain = false;
  #closing: QhError | null = null;
  /** Requests that have hoped long enough for another worker than those that have failed them. */
  readonly #impatient = new Set<Ticket>();

  constructor(parts: ModelQueueParts) {
    this.#parts = parts;
    this.#homes = new SessionHomes(parts.limits.sessionsKept);
    this.#queueClock = startQueueClock("load", parts.clock.monotonicMs());
  }

  /** How many requests wait. */
  get waiting(): number {
    return this.#line.size;
  }

  /**
   * Waits for a slot. Rejects with `queue_full`, `queue_timeout`, `load_timeout`, `model_unavailable`,
   * `no_hive_available`, the request's last error, or the reason of its signal.
   */
  lease(sequence: number, request: LeaseRequest): Promise<Lease> {
    const { clock, limits } = this.#parts;
    const nowMs = clock.monotonicMs();
    if (this.waiting === 0) {
      const worker = request.signal.aborted ? null : this.#pick(request, this.#workers());
      if (worker !== null) return Promise.resolve(this.#lease(sequence, request.place?.waited ?? NOTHING_WAITED, worker, null));
      // While nobody waits nobody keeps the mode up to date; what it is now shows in a moment.
      this.#queueClock = startQueueClock("slot", nowMs);
    }
    const shown = readQueueClock(this.#queueClock, nowMs);
    return new Promise((resolve, reject) => {
      if (request.signal.aborted) {
        reject(request.signal.reason);
        return;
      }
      const settle = request.lastError === null ? null : clock.after(limits.retryWaitMs, () => this.#loseHope(ticket));
      const leaveWith = (end: () => void): void => {
        request.signal.removeEventListener("abort", abandon);
        settle?.[Symbol.dispose]();
        this.#impatient.delete(ticket);
        if (this.#line.leave(ticket)) this.#lineChanged();
        end();
      };
      const abandon = (): void => leaveWith(() => reject(request.signal.reason));
      request.signal.addEventListener("abort", abandon, { once: true });
      const ticket: Ticket = {
        sequence,
        client: request.client,
        session: once(request.session),
        excluded: request.excluded,
        lastError: request.lastError,
        entry: request.place === null ? shown : waitedSince(request.place.waited, shown),
        grant: (lease) => leaveWith(() => resolve(lease)),
        refuse: (error) => leaveWith(() => reject(error)),
      };
      this.#line.join(ticket, request.place !== null);
      this.#lineChanged();
      this.#pump(null);
      if (request.place === null && this.waiting > limits.maxWaiting && this.#line.has(ticket)) this.#pushOutFor(ticket);
      if (this.#line.has(ticket)) request.onQueued?.(() => this.#outlook(ticket));
    });
  }

  /** The directory says that something about this model's workers has changed. */
  changed(): void {
    if (this.waiting > 0) this.#pump(this.#parts.clock.monotonicMs());
  }

  /** The place in the order of arrival of whoever is served next, when a slot of this incarnation is of use; else null. */
  nextFor(key: string): number | null {
    const isOfUse = this.waiting > 0 && this.#workers().some((worker) => incarnationKey(worker) === key);
    return isOfUse ? (this.#line.inOrder()[0]?.sequence ?? null) : null;
  }

  /** A slot is free again. */
  pump(): void {
    if (this.waiting > 0) this.#pump(null);
  }

  /** From now on requests wait for slots only: whoever waits for a load is refused with this error. */
  refuseLoads(error: QhError): void {
    this.#closing = error;
    if (this.waiting > 0) this.#pump(null);
  }

  #lineChanged(): void {
    this.#parts.depthChanged(this.waiting);
    if (this.waiting === 0) this.#disarm();
  }

  /** Gives slots to whom it can, asks for a worker for the rest. What happens meanwhile is looked at in another turn. */
  #pump(eventAtMs: number | null): void {
    this.#pumpAgain = true;
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      let asked = false;
      while (this.#pumpAgain) {
        this.#pumpAgain = false;
        this.#place(eventAtMs);
        if (this.waiting === 0 || asked) continue;
        asked = true;
        this.#parts.directory.want(this.#parts.modelId);
      }
    } finally {
      this.#pumping = false;
    }
    if (this.waiting === 0) return;
    this.#refuseTheHopeless();
    for (const ticket of [...this.#impatient]) this.#giveUpOnAnother(ticket);
    this.#arm();
  }

  #place(eventAtMs: number | null): void {
    const workers = this.#workers();
    const mode = workers.length > 0 ? "slot" : "load";
    this.#queueClock = switchQueueClock(this.#queueClock, mode, this.#parts.clock.monotonicMs());
    for (const ticket of this.#line.inOrder()) {
      const worker = this.#pick(ticket, workers);
      if (worker !== null) {
        this.#line.served(ticket);
        this.#lineChanged();
        ticket.grant(this.#lease(ticket.sequence, this.#waited(ticket), worker, eventAtMs));
      } else if (ticket.excluded.size === 0) return;
    }
  }

  #workers(): readonly ReadyWorker[] {
    return this.#parts.directory.ready(this.#parts.modelId).filter((worker) => !worker.lost.aborted);
  }

  #pick(wish: Pick<LeaseRequest, "session" | "excluded">, workers: readonly ReadyWorker[]): ReadyWorker | null {
    const session = workers.length > 1 ? wish.session() : null;
    const home = session === null ? null : this.#homes.of(session);
    const candidates = workers.map((worker) => this.#candidate(worker));
    const picked = pickWorker(candidates, wish.excluded, home);
    if (picked !== null && session !== null) this.#homes.settle(session, picked.key);
    return picked?.worker ?? null;
  }

  #candidate(worker: ReadyWorker): Candidate {
    const key = incarnationKey(worker);
    return {
      key,
      slots: worker.slots,
      inFlight: this.#parts.occupancy.of(key),
      sessions: this.#homes.count(key),
      standing: this.#parts.directory.standing(worker),
      overflow: worker.overflow,
      worker,
    };
  }

  #lease(sequence: number, waited: Waited, worker: ReadyWorker, eventAtMs: number | null): Lease {
    const { occupancy, directory } = this.#parts;
    const leave = occupancy.enter(worker);
    // What spills over is a wish for more workers of our own, though nobody waits for one.
    if (worker.overflow) directory.want(this.#parts.modelId);
    return {
      worker,
      place: { sequence, waited },
      resumedAtMs: eventAtMs,
      release: (servedMs) => {
        leave();
        if (servedMs !== null) this.#serviceMs = nextServiceMs(this.#serviceMs, servedMs);
        this.#parts.freed(worker);
        if (occupancy.of(incarnationKey(worker)) === 0) directory.idle(worker);
      },
    };
  }

  #pushOutFor(newcomer: Ticket): void {
    const { modelId, limits } = this.#parts;
    const advice = retryAfterS({ waiting: this.waiting, slots: this.#slots(), serviceMs: this.#serviceMs });
    this.#line.pushedOutBy(newcomer).refuse(queueFull(modelId, limits.maxWaiting, advice));
  }

  #slots(): number {
    return this.#parts.directory.ready(this.#parts.modelId).reduce((sum, worker) => sum + worker.slots, 0);
  }

  #outlook(ticket: Ticket): QueueOutlook | null {
    const ahead = this.#line.ahead(ticket);
    if (ahead === null) return null;
    const waitsFor = this.#queueClock.mode;
    const load = { slots: this.#slots(), serviceMs: this.#serviceMs };
    return { position: ahead + 1, waitsFor, estimateMs: waitsFor === "slot" ? estimatedWaitMs(ahead, load) : null };
  }

  #refuseTheHopeless(): void {
    if (this.#queueClock.mode === "slot") return;
    const failure = this.#closing === null ? this.#parts.directory.failure(this.#parts.modelId) : null;
    const error = failure === null ? this.#closing : modelUnavailable(failure);
    if (error !== null) for (const ticket of this.#line.inOrder()) ticket.refuse(error);
  }

  #loseHope(ticket: Ticket): void {
    this.#impatient.add(ticket);
    this.#giveUpOnAnother(ticket);
  }

  /** The only workers are those that have failed this request, and no other is on its way. */
  #giveUpOnAnother(ticket: Ticket): void {
    const { directory, modelId } = this.#parts;
    if (ticket.lastError === null || !this.#line.has(ticket) || directory.starting(modelId) > 0) return;
    const workers = directory.ready(modelId);
    if (workers.length > 0 && workers.every((worker) => ticket.excluded.has(incarnationKey(worker))))
      ticket.refuse(ticket.lastError);
  }

  #arm(): void {
    this.#disarm();
    if (this.waiting === 0) return;
    const leftMs = Math.min(...this.#line.inOrder().map((ticket) => this.#leftMs(ticket)));
    this.#expiry = this.#parts.clock.after(Math.max(0, leftMs), () => this.#expire());
  }

  #disarm(): void {
    this.#expiry?.[Symbol.dispose]();
    this.#expiry = null;
  }

  #expire(): void {
    const { modelId, limits } = this.#parts;
    const { mode } = this.#queueClock;
    for (const ticket of this.#line.inOrder()) if (this.#leftMs(ticket) <= 0) ticket.refuse(waitedTooLong(modelId, mode, limits));
    this.#arm();
  }

  #leftMs(ticket: Ticket): number {
    return remainingWaitMs(this.#waited(ticket), this.#queueClock.mode, this.#parts.limits);
  }

  #waited(ticket: Ticket): Waited {
    return waitedSince(ticket.entry, readQueueClock(this.#queueClock, this.#parts.clock.monotonicMs()));
  }
}

/** The same answer each time: a body is looked at once, however often its request is considered. */
function once<T>(ask: () => T): () => T {
  let answer: { readonly value: T } | null = null;
  return () => {
    answer ??= { value: ask() };
    return answer.value;
  };
}
