import { Broadcast, type Clock, type Log } from "@queen-and-hive/daemon";
import { parseHiveId, parseWorkerId, QhError, type WorkerRecord } from "@queen-and-hive/protocol";
import type { JournalEntry, Store, WorkerRow } from "../store/store.ts";
import type { EngineConnect, ReadyWorker } from "./worker-directory.ts";
import { logWorkerState, type TransitionNote, workerStateEntries } from "./worker-journal.ts";

/** One worker in the queen's memory. Only the table changes it. */
export interface WorkerEntry {
  readonly row: WorkerRow;
  /** What requests are given while this incarnation is ready; the same object for its whole life. */
  readonly ready: ReadyWorker | null;
  /** When this incarnation became ready for requests (monotonic milliseconds), else null. */
  readonly readySinceMs: number | null;
  /** True while the spawn call for it has not been answered. */
  readonly spawning: boolean;
  /** When the hive's event stream said `ready` although no callback had come (monotonic milliseconds), else null. */
  readonly saidReadyAtMs: number | null;
}

/** What a transition changes; what is not named stays. */
export interface WorkerPatch {
  readonly record?: Partial<WorkerRecord>;
  readonly wanted?: boolean;
  readonly exitedIncarnation?: number;
  readonly last?: WorkerRow["last"];
}

/** What the table needs to know. */
export interface WorkerTableOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  /** How many requests a worker of a model may get at once, given what its engine said. */
  readonly slotsOf: (model: string, said: number | null) => number;
  /** How a worker's engine is reached: null means by TCP from here, and with no key. */
  readonly wayTo: (hiveId: string, workerId: string) => { readonly connect: EngineConnect | null; readonly key: string | null };
}

interface MutableEntry {
  row: WorkerRow;
  ready: ReadyWorker | null;
  readySinceMs: number | null;
  lose: AbortController | null;
  spawning: boolean;
  saidReadyAtMs: number | null;
}

/** The queen's only writer of workers: every transition is on disk, with its journal entry, before anything acts on it. */
export class WorkerTable {
  /** Fires after every change that concerns a model, with the model's id. */
  readonly changes: Broadcast<string>;
  readonly #options: WorkerTableOptions;
  readonly #entries = new Map<string, MutableEntry>();

  /** Reads the registry. Throws `storage_failed`. */
  constructor(options: WorkerTableOptions) {
    this.#options = options;
    this.changes = new Broadcast((error) => options.log.error("cannot tell of a worker's change", { error }));
    for (const row of options.store.workers()) this.#entries.set(row.record.worker_id, entryOf(row));
  }

  get(workerId: string): WorkerEntry | null {
    return this.#entries.get(workerId) ?? null;
  }

  all(): readonly WorkerEntry[] {
    return [...this.#entries.values()];
  }

  ofHive(hiveId: string): readonly WorkerEntry[] {
    return this.all().filter((entry) => entry.row.record.hive_id === hiveId);
  }

  ofModel(model: string): readonly WorkerEntry[] {
    return this.all().filter((entry) => entry.row.record.model === model);
  }

  /** Records a worker that the queen has decided on or found. Throws `storage_failed`. */
  add(row: WorkerRow, note: TransitionNote): void {
    const events = [...workerStateEntries(null, row.record, note), ...(note.events ?? [])];
    this.#options.store.commit({ workers: [row], events });
    logWorkerState(this.#options.log, null, row.record, note);
    const entry = entryOf(row);
    this.#entries.set(row.record.worker_id, entry);
    this.#refreshReady(entry, note);
    this.changes.publish(row.record.model);
  }

  /** Changes a worker. Throws `storage_failed`; then nothing has changed. */
  change(workerId: string, patch: WorkerPatch, note: TransitionNote): void {
    const entry = this.#entries.get(workerId);
    if (entry === undefined) return;
    const row = patched(entry.row, patch, new Date(this.#options.clock.nowMs()).toISOString());
    const events = [...workerStateEntries(entry.row.record, row.record, note), ...(note.events ?? [])];
    this.#options.store.commit({ workers: [row], events });
    logWorkerState(this.#options.log, entry.row.record, row.record, note);
    entry.row = row;
    entry.saidReadyAtMs = null;
    note.onRecorded?.();
    this.#refreshReady(entry, note);
    this.changes.publish(row.record.model);
  }

  /** Forgets a worker; its end stays in the journal. Throws `storage_failed`. */
  remove(workerId: string, note: TransitionNote): void {
    const entry = this.#entries.get(workerId);
    if (entry === undefined) return;
    const { record } = entry.row;
    const stopped = { ...record, state: "stopped" as const };
    const events = [...workerStateEntries(record, stopped, note), ...(note.events ?? [])];
    this.#options.store.commit({ removeWorkers: [workerId], events });
    logWorkerState(this.#options.log, record, stopped, note);
    this.#entries.delete(workerId);
    lose(entry, note);
    this.changes.publish(record.model);
  }

  /** Its hive says that a worker is as recorded: one that is ready serves again, after a restart of ours or a loss of its hive. */
  confirm(workerId: string): void {
    const entry = this.#entries.get(workerId);
    if (entry === undefined || entry.ready !== null) return;
    this.#refreshReady(entry, { actor: "queen" });
    if (entry.ready !== null) this.changes.publish(entry.row.record.model);
  }

  /** Keeps what happened to a worker without a change of its state. Throws `storage_failed`. */
  journal(events: readonly JournalEntry[]): void {
    this.#options.store.commit({ events: [...events] });
  }

  /** Facts that are shown but not kept: progress, CPU, memory. */
  observe(workerId: string, facts: Partial<Pick<WorkerRecord, "progress" | "cpu_ratio" | "resident_bytes">>): void {
    const entry = this.#entries.get(workerId);
    if (entry !== undefined) entry.row = { ...entry.row, record: { ...entry.row.record, ...facts } };
  }

  setSpawning(workerId: string, spawning: boolean): void {
    const entry = this.#entries.get(workerId);
    if (entry !== undefined) entry.spawning = spawning;
  }

  /** Remembers that the event stream said `ready` first; the callback is still what counts. */
  noteSaidReady(workerId: string): void {
    const entry = this.#entries.get(workerId);
    if (entry !== undefined) entry.saidReadyAtMs ??= this.#options.clock.monotonicMs();
  }

  /** Ends the requests on a worker whose host is given up; the worker itself stays recorded. */
  abandon(workerId: string, reason: QhError): void {
    const entry = this.#entries.get(workerId);
    if (entry === undefined || entry.ready === null) return;
    lose(entry, { actor: "queen", lost: reason });
    this.changes.publish(entry.row.record.model);
  }

  /** Ends the requests on all workers of a hive that is given up. */
  abandonHive(hiveId: string, reason: string): void {
    const message = `cannot finish this request: the hive of its worker is out of reach (${reason})`;
    const error = new QhError("engine_unreachable", message);
    for (const { row } of this.ofHive(hiveId)) this.abandon(row.record.worker_id, error);
  }

  /** Forgets how far a hive's messages were numbered, and which ends it has told of. Throws `storage_failed`. */
  numberAnew(hiveId: string): void {
    for (const { row } of this.ofHive(hiveId))
      this.change(row.record.worker_id, { last: null, exitedIncarnation: 0 }, { actor: "queen" });
  }

  #refreshReady(entry: MutableEntry, note: TransitionNote): void {
    const { record } = entry.row;
    // One that is drained finishes what it was given before.
    const finishes = record.state === "draining" && entry.ready !== null;
    const url = record.url?.replace(/\/+$/, "") ?? null;
    const serves = url !== null && (record.state === "ready" || finishes);
    // A hive whose state was put back counts an incarnation again that another process had.
    const isOther = entry.ready !== null && (entry.ready.incarnation !== record.incarnation || entry.ready.url !== url);
    if (entry.ready !== null && (!serves || isOther)) lose(entry, note);
    if (!serves || entry.ready !== null || url === null) return;
    const workerId = parseWorkerId(record.worker_id);
    const hiveId = parseHiveId(record.hive_id);
    if (workerId === null || hiveId === null) return;
    const { connect, key } = this.#options.wayTo(hiveId, workerId);
    entry.lose = new AbortController();
    entry.readySinceMs = this.#options.clock.monotonicMs();
    entry.ready = {
      workerId,
      incarnation: record.incarnation,
      hiveId,
      url,
      basePath: "/v1",
      model: record.model,
      key,
      overflow: false,
      slots: this.#options.slotsOf(record.model, record.slots),
      lost: entry.lose.signal,
      ...(connect === null ? {} : { connect }),
    };
  }
}

function entryOf(row: WorkerRow): MutableEntry {
  return { row, ready: null, readySinceMs: null, lose: null, spawning: false, saidReadyAtMs: null };
}

function lose(entry: MutableEntry, note: TransitionNote): void {
  const controller = entry.lose;
  entry.ready = null;
  entry.readySinceMs = null;
  entry.lose = null;
  controller?.abort(
    note.lost ??
      new QhError("engine_failed", "cannot finish this request: the worker that served it has ended; send it again", {
        details: note.cause === undefined ? {} : { cause: note.cause },
      }),
  );
}

function patched(row: WorkerRow, patch: WorkerPatch, now: string): WorkerRow {
  const record = { ...row.record, ...patch.record };
  const since = patch.record?.since ?? (record.state === row.record.state ? row.record.since : now);
  return {
    ...row,
    record: { ...record, since },
    wanted: patch.wanted ?? row.wanted,
    exitedIncarnation: patch.exitedIncarnation ?? row.exitedIncarnation,
    last: patch.last === undefined ? row.last : patch.last,
  };
}
