import type { Clock, SseWriter } from "@queen-and-hive/daemon";
import type { HiveEvent, HiveIdentity, WorkerRecord } from "@queen-and-hive/protocol";
import type { Supervision } from "../workers/supervision.ts";

/** What the event streams tell about. */
export interface EventStreamsOptions {
  readonly supervision: Pick<Supervision, "list" | "changes" | "steps">;
  readonly identity: () => HiveIdentity;
  readonly clock: Clock;
  readonly beatMs: number;
  readonly sampleEveryMs: number;
}

/** Every open `GET /v1/events`: one numbering of deltas, one beat and one round of samples for all readers. */
export class EventStreams implements Disposable {
  readonly #options: EventStreamsOptions;
  readonly #readers = new Set<SseWriter>();
  readonly #parts: Disposable[];
  #sequence = 0;

  constructor(options: EventStreamsOptions) {
    this.#options = options;
    const { clock, beatMs, sampleEveryMs, supervision } = options;
    this.#parts = [
      supervision.changes.subscribe(({ record }) => {
        this.#sequence += 1;
        this.#send({ type: "worker", sequence: this.#sequence, worker: record });
      }),
      supervision.steps.subscribe(({ workerId, durationMs, pids, ...step }) =>
        this.#send({
          type: "step",
          time: this.#now(),
          worker_id: workerId,
          duration_ms: durationMs,
          pids: [...pids],
          ...step,
        }),
      ),
      every(clock, beatMs, () => this.#send({ type: "beat", sequence: this.#sequence, time: this.#now() })),
      every(clock, sampleEveryMs, () => {
        if (this.#readers.size === 0) return;
        this.#send({ type: "telemetry", time: this.#now(), workers: samplesOf(supervision.list()) });
      }),
    ];
  }

  /** Sends the snapshot, then everything after it, without a gap between the two, until the result is disposed. */
  attach(reader: SseWriter): Disposable {
    const snapshot: HiveEvent = {
      type: "snapshot",
      sequence: this.#sequence,
      hive: this.#options.identity(),
      workers: [...this.#options.supervision.list()],
      beat_ms: Number.isFinite(this.#options.beatMs) ? Math.max(1, Math.round(this.#options.beatMs)) : null,
    };
    reader.send(toSse(snapshot));
    this.#readers.add(reader);
    return { [Symbol.dispose]: () => void this.#readers.delete(reader) };
  }

  [Symbol.dispose](): void {
    for (const part of this.#parts) part[Symbol.dispose]();
    for (const reader of this.#readers) reader.close();
    this.#readers.clear();
  }

  #send(event: HiveEvent): void {
    for (const reader of this.#readers) {
      if (!reader.send(toSse(event))) this.#readers.delete(reader);
    }
  }

  #now(): string {
    return new Date(this.#options.clock.nowMs()).toISOString();
  }
}

function toSse(event: HiveEvent): { readonly event: string; readonly data: HiveEvent } {
  return { event: event.type, data: event };
}

function samplesOf(records: readonly WorkerRecord[]): Extract<HiveEvent, { type: "telemetry" }>["workers"] {
  return records.flatMap(({ worker_id, cpu_ratio, resident_bytes }) =>
    cpu_ratio === undefined || resident_bytes === undefined ? [] : [{ worker_id, cpu_ratio, resident_bytes }],
  );
}

/** Runs again and again, each time `ms` after the last; Infinity never. */
function every(clock: Clock, ms: number, run: () => void): Disposable {
  let timer: Disposable;
  const next = (): void => {
    timer = clock.after(ms, () => {
      run();
      next();
    });
  };
  next();
  return { [Symbol.dispose]: () => timer[Symbol.dispose]() };
}
