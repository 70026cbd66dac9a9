import type { Clock } from "@queen-and-hive/daemon";
import {
  type HiveEvent,
  QhError,
  type QueenAddress,
  type SpawnRequest,
  type WorkerReady,
  type WorkerRecord,
  type WorkerStopAnswer,
} from "@queen-and-hive/protocol";
import type { FleetHive, WorkerCalls } from "../src/workers/fleet-context.ts";

interface SimulatedDevice {
  readonly id: string;
  free: number;
}

interface SimulatedWorker {
  readonly model: string;
  readonly bytes: number;
  readonly device: SimulatedDevice;
  readonly record: WorkerRecord;
}

/** What a simulated hive tells its queen. */
export type TellReady = (message: WorkerReady) => void;

/** A hive in memory: devices, workers that take time to load and to stop, and an admission that counts bytes. */
export class SimulatedHive implements FleetHive {
  readonly hiveId: string;
  readonly hostName: string;
  readonly labels = {};
  readonly bootId = "boot";
  usable = true;
  inDoubt = false;
  readonly arriving = false;
  readonly hopeful = true;
  readonly calls: WorkerCalls;
  readonly connect = null;
  replacedSince: string | null = null;
  #isReplaced = false;
  readonly workerKey = (): string | null => null;
  /** Models in the order in which they were loaded. */
  readonly loads: string[] = [];
  refusals = 0;
  /** Workers that it was told to drain. */
  readonly drained: string[] = [];
  readonly #devices: readonly SimulatedDevice[];
  readonly #loadMs: number;
  readonly #stopMs: number;
  readonly #clock: Clock;
  readonly #workers = new Map<string, SimulatedWorker>();
  #sequence = 0;
  tellReady: TellReady = () => undefined;

  constructor(options: {
    /** `local` when not given. */
    readonly hiveId?: string;
    /** Of its device, or of each. */
    readonly bytes: number | readonly number[];
    readonly loadMs: number;
    readonly stopMs: number;
    readonly clock: Clock;
  }) {
    this.hiveId = options.hiveId ?? "local";
    this.hostName = this.hiveId;
    this.#devices = [options.bytes].flat().map((bytes, index) => ({ id: `gpu${index}`, free: bytes }));
    this.#loadMs = options.loadMs;
    this.#stopMs = options.stopMs;
    this.#clock = options.clock;
    this.calls = {
      spawn: async (request) => this.#spawn(request),
      stopWorker: async (workerId) => await this.#stop(workerId),
      drainWorker: async (workerId) => this.#drain(workerId),
      checkWorker: async () => this.#unused(),
      getWorker: async () => this.#unused(),
      capabilities: async () => this.#unused(),
    };
  }

  readonly queen = (): QueenAddress => ({
    queen_id: "queen-00000000-0000-4000-8000-000000000000",
    queen_epoch: 1,
    queen_url: "http://127.0.0.1:1",
  });

  /** Its queen loses contact with it, or has it again. */
  setInDoubt(inDoubt: boolean): void {
    this.inDoubt = inDoubt;
    this.usable = !inDoubt;
  }

  get isReplaced(): boolean {
    return this.#isReplaced;
  }

  set isReplaced(isReplaced: boolean) {
    this.#isReplaced = isReplaced;
    if (isReplaced) this.replacedSince ??= new Date(this.#clock.nowMs()).toISOString();
  }

  standInsEnded(): void {
    this.replacedSince = null;
  }

  /** Models that have a worker now. */
  get models(): readonly string[] {
    return [...this.#workers.values()].map(({ model }) => model).sort();
  }

  #spawn(request: SpawnRequest): WorkerRecord {
    const { worker_id, spec, queen_id } = request;
    const bytes = Number(spec.needs?.memory_bytes);
    const device = this.#devices.toSorted((one, other) => other.free - one.free)[0];
    if (device === undefined || device.free < bytes) {
      this.refusals += 1;
      const missing = this.#devices.map(({ id, free }) => [id, Math.max(0, bytes - free)] as const);
      const details = { devices_wanted: 1, missing_bytes: Object.fromEntries(missing) };
      throw new QhError("insufficient_memory", `cannot start ${spec.model.id}: ${bytes} bytes are needed`, { details });
    }
    device.free -= bytes;
    this.loads.push(spec.model.id);
    this.#clock.after(this.#loadMs, () => this.#ready(worker_id));
    const now = new Date(this.#clock.nowMs()).toISOString();
    const record: WorkerRecord = {
      worker_id,
      incarnation: 1,
      hive_id: this.hiveId,
      queen_id,
      model: spec.model.id,
      runtime: "fake",
      state: "starting",
      pid: 1,
      start_time: 1,
      boot_id: "boot",
      port: 1,
      url: "http://127.0.0.1:1",
      slots: null,
      in_flight: null,
      restarts: 0,
      since: now,
      spawned_at: now,
      ready_at: null,
      progress: null,
      devices: [device.id],
    };
    this.#workers.set(worker_id, { model: spec.model.id, bytes, device, record });
    return record;
  }

  /** A worker fails for good, and a program that is not ours takes its memory. What the hive tells of it. */
  fail(record: WorkerRecord): HiveEvent {
    this.#workers.delete(record.worker_id);
    this.#sequence += 1;
    const exit = { exit_code: 1, signal: null, cause: "unknown" as const, log_tail: [] };
    return { type: "worker", sequence: this.#sequence, worker: { ...record, state: "failed", pid: null, url: null, exit } };
  }

  #ready(workerId: string): void {
    if (!this.#workers.has(workerId)) return;
    const now = new Date(this.#clock.nowMs()).toISOString();
    this.#sequence += 1;
    this.tellReady({
      worker_id: workerId,
      url: "http://127.0.0.1:1",
      model_ref: "m",
      backend: "fake",
      device: "gpu",
      slots: 2,
      hive_id: this.hiveId,
      hive_epoch: 1,
      sequence: this.#sequence,
      incarnation: 1,
      pid: 1,
      start_time: 1,
      spawned_at: now,
      ready_at: now,
      delivery_attempt: 1,
    });
  }

  async #stop(workerId: string): Promise<WorkerStopAnswer> {
    const worker = this.#workers.get(workerId);
    await this.#clock.sleep(this.#stopMs);
    this.#workers.delete(workerId);
    // The driver takes its time to give it back.
    this.#clock.after(1_000, () => {
      if (worker !== undefined) worker.device.free += worker.bytes;
    });
    return { worker_id: workerId, how: "terminated", duration_ms: this.#stopMs };
  }

  #drain(workerId: string): WorkerRecord {
    this.drained.push(workerId);
    const worker = this.#workers.get(workerId);
    if (worker === undefined) throw new QhError("worker_not_found", `cannot find ${workerId}`);
    return { ...worker.record, state: "draining" };
  }

  #unused(): never {
    throw new QhError("peer_unreachable", "cannot answer: the simulation has no such call");
  }
}
