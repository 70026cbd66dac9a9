import { type Clock, type Deadline, ensurePrivateDir, type Log, type Metrics } from "@queen-and-hive/daemon";
import type { HiveSettings } from "../config.ts";
import type { Ownership } from "../store/ownership.ts";
import type { Sequence } from "../store/sequence.ts";
import type { StatePaths } from "../store/state-paths.ts";
import { DeliveryLane, type Verdict } from "./delivery-lane.ts";
import type { DeliveryOutcome } from "./delivery-outcome.ts";
import { laneOf, type OutboxEntry, type OutboxMessage } from "./outbox-entry.ts";
import { OutboxFile } from "./outbox-file.ts";
import { OutboxMetrics } from "./outbox-metrics.ts";
import type { QueenLine } from "./queen-line.ts";
import { RefusedFile } from "./refused-file.ts";

/** What the outbox is made of. */
export interface OutboxOptions {
  readonly paths: StatePaths;
  readonly settings: HiveSettings["callback"];
  readonly ownership: Ownership;
  readonly sequence: Sequence;
  readonly line: QueenLine;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly random?: () => number;
}

/** How much the waits between tries vary, so that many hives do not come back in step. */
const JITTER = 0.2;
const FACTOR = 2;

/**
 * Messages to the queen: on disk before anybody relies on them, delivered in order per worker and in parallel otherwise,
 * again and again until she acknowledges, always to her newest address. Beyond `outbox_entries` only the latest message
 * of each worker is kept, since the snapshot heals the rest.
 */
export class Outbox implements AsyncDisposable {
  /** What was lost with a damaged file, as a sentence; null in a healthy start. */
  readonly loss: string | null;
  readonly #options: OutboxOptions;
  readonly #file: OutboxFile;
  readonly #refused: RefusedFile;
  readonly #metrics: OutboxMetrics;
  readonly #entries = new Map<number, OutboxEntry>();
  readonly #lanes = new Map<string, DeliveryLane>();
  readonly #claims: Disposable;
  /** Whether the last word about our token was a refusal: it is said once, not at every try. */
  #unwelcome = false;
  #delivering = false;

  private constructor(options: OutboxOptions, file: OutboxFile, loss: string | null) {
    this.#options = options;
    this.#file = file;
    this.loss = loss;
    this.#refused = new RefusedFile(options.paths.refused, options.clock);
    this.#metrics = new OutboxMetrics(options.metrics, () => this.#entries.size);
    file.keep(() => this.#entries.values());
    this.#claims = options.ownership.claims.subscribe(() => {
      for (const lane of this.#lanes.values()) lane.wake();
    });
  }

  /** Opens the outbox with what waited before; nothing is sent before `start`. Throws `storage_failed`. */
  static async open(options: OutboxOptions): Promise<Outbox> {
    await ensurePrivateDir(options.paths.outboxDir);
    const { file, entries, loss } = await OutboxFile.open(options.paths.outbox, options.log);
    const outbox = new Outbox(options, file, loss);
    const obsolete: number[] = [];
    for (const entry of entries) {
      // Each start of the daemon says again that the hive is ready; what an earlier one had to say of itself is over.
      if (entry.message.kind === "hive_ready") obsolete.push(entry.sequence);
      else outbox.#entries.set(entry.sequence, entry);
    }
    if (obsolete.length > 0) await file.end(obsolete);
    return outbox;
  }

  /** Begins to deliver: the hive listens and knows its own address. */
  start(): void {
    this.#delivering = true;
    for (const entry of this.#entries.values()) this.#laneFor(entry).push(entry);
  }

  /** Takes a message; on disk when this resolves. Rejects with `storage_failed`, and even then tries to deliver it. */
  async add(queenId: string, message: OutboxMessage): Promise<void> {
    const { sequence, clock } = this.#options;
    const entry: OutboxEntry = { sequence: sequence.next(), created_at_ms: clock.nowMs(), queen_id: queenId, message };
    this.#entries.set(entry.sequence, entry);
    const written = this.#file.add(entry);
    if (this.#delivering) this.#laneFor(entry).push(entry);
    if (this.#entries.size > this.#options.settings.outboxEntries) this.#keepNewest();
    await written;
  }

  /** How many messages wait. */
  get size(): number {
    return this.#entries.size;
  }

  /** Tries everything at once; resolves when all is delivered, the queen could not be reached, or the deadline came. */
  async flush(deadline: Deadline): Promise<void> {
    using signal = deadline.signal();
    const over = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    await Promise.race([Promise.all([...this.#lanes.values()].map((lane) => lane.flush())), over]);
  }

  /** Stops delivering; what waits stays on disk. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#claims[Symbol.dispose]();
    for (const lane of this.#lanes.values()) lane.close();
    await this.#options.line[Symbol.asyncDispose]();
    await this.#file.close();
  }

  #laneFor(entry: OutboxEntry): DeliveryLane {
    const name = laneOf(entry);
    const existing = this.#lanes.get(name);
    if (existing !== undefined) return existing;
    const { clock, settings, line, ownership, random } = this.#options;
    const lane = new DeliveryLane({
      clock,
      random: random ?? Math.random,
      backoff: { firstMs: settings.firstMs, factor: FACTOR, maxMs: settings.maxMs, jitter: JITTER },
      isDeliverable: ({ queen_id }) => ownership.current?.queen_id === queen_id,
      deliver: (waiting, attempt) => line.deliver(waiting, attempt),
      judged: (tried, verdict, outcome) => this.#judged(name, tried, verdict, outcome),
    });
    this.#lanes.set(name, lane);
    return lane;
  }

  #judged(laneName: string, entry: OutboxEntry, verdict: Verdict, outcome: DeliveryOutcome): void {
    const { log, clock } = this.#options;
    this.#metrics.tried(entry, verdict, clock.nowMs());
    const fields = {
      kind: entry.message.kind,
      lane: laneName,
      sequence: entry.sequence,
      reason: "reason" in outcome ? outcome.reason : null,
    };
    if (verdict === "unwelcome") {
      if (!this.#unwelcome) log.error("the queen refuses our token; messages to her are kept until she knows it", fields);
      this.#unwelcome = true;
    } else if (verdict !== "retried") {
      this.#unwelcome = false;
    }
    this.#metrics.alarm(this.#unwelcome);
    switch (verdict) {
      case "retried":
      case "unwelcome":
        log.debug("a message to the queen could not be delivered yet", fields);
        return;
      case "delivered":
        log.debug("a message to the queen was delivered", fields);
        break;
      case "stale":
        log.warn("a message to the queen was of no use any more and is dropped", fields);
        break;
      case "set_aside":
        log.error(`the queen refused a message again and again; it is set aside in ${this.#options.paths.refused}`, fields);
        this.#refused.append(entry, "reason" in outcome ? outcome.reason : "", log);
    }
    this.#entries.delete(entry.sequence);
    if (this.#lanes.get(laneName)?.length === 0) this.#lanes.delete(laneName);
    void this.#file.end([entry.sequence]);
  }

  #keepNewest(): void {
    const dropped = [...this.#lanes.values()].flatMap((lane) => lane.keepNewest());
    for (const { sequence } of dropped) this.#entries.delete(sequence);
    if (dropped.length === 0) return;
    this.#options.log.warn("the outbox is full: only the latest message of each worker is kept", { dropped: dropped.length });
    void this.#file.end(dropped.map(({ sequence }) => sequence));
  }
}
