import { createHash } from "node:crypto";
import type { Clock, Log, ProcessIdentity } from "@queen-and-hive/daemon";
import { formatBytes, QhError, unreachable, type WorkerId, type WorkerSpec } from "@queen-and-hive/protocol";
import { type Admission, type AdmissionDevice, type AdmissionRequest, admit } from "../domain/admission.ts";
import { estimateNeed, type MemoryNeed } from "../domain/memory-need.ts";
import { processOf, type WorkerLife } from "../domain/worker-states.ts";
import { useOfTree } from "../process/machine-facts.ts";
import { type ProcessTable, readProcessTable, treeOf } from "../process/process-table.ts";
import { CPU, type Device } from "../resources/device.ts";
import { cpuDevice, type DeviceReading, type Devices } from "../resources/devices.ts";
import { identifyModel, readModelFacts } from "../resources/model-facts.ts";
import type { MemoryNotes } from "../store/memory-notes.ts";
import type { WorkerFacts } from "./worker-facts.ts";

/** A worker of ours, as far as devices are concerned. */
export interface DeskWorker {
  readonly workerId: WorkerId;
  readonly spec: WorkerSpec;
  /** What it was given. */
  readonly devices: readonly string[];
  /** What it was promised on each; null when its need is not known. */
  readonly claimBytes: number | null;
  readonly memoryKey: string | null;
  /** Leads its processes; null while it has none. */
  readonly shim: ProcessIdentity | null;
  readonly state: "loading" | "ready" | "other";
}

/** A supervised worker as the desk sees it. */
export function deskWorkerOf({ facts, life: { phase } }: { readonly facts: WorkerFacts; readonly life: WorkerLife }): DeskWorker {
  const { workerId, spec, devices, claimBytes, memoryKey } = facts;
  const isLoading = phase.name === "starting" || phase.name === "loading";
  const state = isLoading ? "loading" : phase.name === "ready" ? "ready" : "other";
  return { workerId, spec, devices, claimBytes, memoryKey, shim: processOf(phase)?.shim ?? null, state };
}

/** What the desk works with. */
export interface AdmissionDeskOptions {
  readonly devices: Pick<Devices, "read" | "latest">;
  readonly notes: MemoryNotes;
  /** The devices that workers may have, null for all, and what stays free on each. */
  readonly use: readonly string[] | null;
  readonly keepFreeBytes: number;
  readonly workers: () => readonly DeskWorker[];
  /** Devices on which nothing may be started now. */
  readonly isClosed: (device: string) => boolean;
  readonly clock: Clock;
  readonly log: Log;
}

/** A worker that is about to be started. */
export interface Applicant {
  readonly workerId: WorkerId;
  readonly spec: WorkerSpec;
  /** Absolute; "" for a model without a file. */
  readonly modelPath: string;
  /** Its command line, as far as it does not depend on its devices. */
  readonly words: readonly string[];
}

/** What an applicant gets. */
export interface Grant {
  readonly devices: readonly string[];
  readonly claimBytes: number | null;
  readonly memoryKey: string;
}

/** Gives workers their devices, one after the other, so that two that start at the same time never count on the same memory. */
export class AdmissionDesk {
  readonly #options: AdmissionDeskOptions;
  #queue: Promise<unknown> = Promise.resolve();
  #freedAtMs = Number.NEGATIVE_INFINITY;
  /** What was in use on a worker's devices when it got them: where the driver does not tell processes apart. */
  readonly #usedBefore = new Map<WorkerId, ReadonlyMap<string, number | null>>();
  /** What a worker had of its devices when it had just become ready. */
  readonly #takenAtReady = new Map<WorkerId, ReadonlyMap<string, number>>();

  constructor(options: AdmissionDeskOptions) {
    this.#options = options;
  }

  /**
   * Chooses devices and calls `take` before anybody else is served. Throws `insufficient_memory` and `model_too_large` with
   * the arithmetic, `device_missing`.
   */
  async admit(applicant: Applicant, take: (grant: Grant) => void, signal: AbortSignal): Promise<void> {
    const turn = this.#queue.then(async () => take(await this.#serve(applicant, signal)));
    this.#queue = turn.catch(() => undefined);
    await turn;
  }

  /** Processes on devices have ended: their memory is on its way back. */
  freed(): void {
    this.#freedAtMs = this.#options.clock.monotonicMs();
  }

  /** What a worker has of a device whose driver does not tell processes apart, in bytes; null when that was never seen. */
  heldBytes(workerId: WorkerId, deviceId: string, reading: DeviceReading): number | null {
    const taken = this.#takenAtReady.get(workerId)?.get(deviceId);
    const before = this.#usedBefore.get(workerId)?.get(deviceId) ?? null;
    const now = usedOn([deviceId], reading).get(deviceId) ?? null;
    return taken ?? (before === null || now === null ? null : Math.max(0, now - before));
  }

  /** Notes what ready workers take now, for the next of their kind, and keeps the numbers of GPUs fresh. */
  async observe(table: ProcessTable, ageMaxMs: number): Promise<void> {
    const { devices, notes: memory, workers, log } = this.#options;
    const all = workers();
    const hasGpus = devices.latest === null || devices.latest.devices.some(({ kind }) => kind !== "cpu");
    // Whoever has become ready since the last round is looked at as it is now.
    const isFirst = all.some(({ state, workerId }) => state === "ready" && this.#usedBefore.has(workerId));
    const reading = hasGpus ? await devices.read(isFirst ? 0 : ageMaxMs) : devices.latest;
    for (const notes of [this.#usedBefore, this.#takenAtReady]) {
      for (const workerId of notes.keys()) if (!all.some((worker) => worker.workerId === workerId)) notes.delete(workerId);
    }
    for (const worker of all.filter(({ state }) => state === "ready")) {
      const bytes = Math.max(0, ...worker.devices.map((id) => this.#taken(worker, id, table, reading)));
      this.#keepTaken(worker, reading);
      if (bytes === 0 || worker.memoryKey === null) continue;
      await memory.note(worker.memoryKey, bytes).catch((error: unknown) => log.warn("cannot note what a model took", { error }));
    }
  }

  /** From now on others may change what is in use beside a worker that has just become ready. */
  #keepTaken({ workerId, devices }: DeskWorker, reading: DeviceReading | null): void {
    if (reading === null || !this.#usedBefore.has(workerId)) return;
    const taken = devices.flatMap((id) => {
      const bytes = this.heldBytes(workerId, id, reading);
      return bytes === null ? [] : [[id, bytes] as const];
    });
    this.#takenAtReady.set(workerId, new Map(taken));
    this.#usedBefore.delete(workerId);
  }

  async #serve(applicant: Applicant, signal: AbortSignal): Promise<Grant> {
    const { clock, log } = this.#options;
    const { spec, workerId } = applicant;
    const memoryKey = memoryKeyOf(applicant);
    const wanted = spec.needs?.devices;
    if (wanted === undefined && spec.devices.length === 0) return { devices: [], claimBytes: null, memoryKey };
    while (true) {
      signal.throwIfAborted();
      const result = await this.#judge(applicant, memoryKey);
      switch (result.kind) {
        case "admitted":
          if (result.bytesPerDevice === null)
            log.warn("a worker is started whose need of memory nobody knows", { worker_id: workerId, model: spec.model.id });
          // What its start before had is gone with that.
          this.#takenAtReady.delete(workerId);
          this.#usedBefore.set(workerId, usedOn(result.devices, this.#options.devices.latest));
          return { devices: result.devices, claimBytes: result.bytesPerDevice, memoryKey };
        case "no_such_device":
          throw new QhError(
            "device_missing",
            `cannot give ${spec.model.id} its devices: ${result.reason}; correct place.devices or the hive's devices.use`,
            { param: "/spec/devices", details: { cause: "device_missing" } },
          );
        case "no_room":
          if (result.forEver) throw tooLarge(spec, result);
          if (clock.monotonicMs() - this.#freedAtMs >= SETTLE_MS) throw noRoom(spec, result);
          await clock.sleep(SETTLE_PAUSE_MS, signal);
          break;
        default:
          return unreachable(result);
      }
    }
  }

  async #judge(applicant: Applicant, memoryKey: string): Promise<Admission> {
    const { devices, use, keepFreeBytes, workers, isClosed } = this.#options;
    const { spec, workerId } = applicant;
    const reading = await devices.read();
    const onCpu = spec.needs?.devices === 0 || spec.devices.includes(CPU);
    const all = onCpu && !reading.devices.some(({ id }) => id === CPU) ? [cpuDevice()] : reading.devices;
    // A closed device that is named is refused by name, where it is known why.
    const candidates = all.filter(
      ({ id }) => onCpu || ((use === null || use.includes(id)) && (spec.devices.includes(id) || !isClosed(id))),
    );
    const others = workers().filter((worker) => worker.workerId !== workerId);
    const table = readProcessTable();
    const seen = candidates.map((device): AdmissionDevice => {
      const here = others.filter((worker) => worker.devices.includes(device.id));
      const reserved = here.map((worker) => this.#outstanding(worker, device.id, table, reading));
      return {
        id: device.id,
        totalBytes: device.memoryTotalBytes,
        usedBytes: device.memoryUsedBytes,
        reservedBytes: reserved.reduce((sum, bytes) => sum + bytes, 0),
        workers: here.length,
        keepFreeBytes,
      };
    });
    const count = Math.max(1, spec.needs?.devices ?? 1);
    const named = onCpu ? [CPU] : spec.devices;
    return admit({ count, named, ...this.#needOf(applicant, memoryKey, candidates) }, seen);
  }

  /** What a worker that loads was promised on a device and has not taken yet. */
  #outstanding(worker: DeskWorker, deviceId: string, table: ProcessTable, reading: DeviceReading): number {
    if (worker.state !== "loading" || worker.claimBytes === null) return 0;
    return Math.max(0, worker.claimBytes - this.#taken(worker, deviceId, table, reading));
  }

  /**
   * What a worker's processes have of a device now. Where the driver does not tell processes apart, what came since it got
   * the device: one worker at a time starts there.
   */
  #taken({ workerId, shim, devices }: DeskWorker, deviceId: string, table: ProcessTable, reading: DeviceReading | null): number {
    if (shim === null || !devices.includes(deviceId)) return 0;
    if (deviceId === CPU) return useOfTree(table, shim).residentBytes;
    const uses = (reading?.uses ?? []).filter((use) => use.deviceId === deviceId);
    if (uses.length > 0) {
      const pids = treeOf(table, shim);
      return uses.filter(({ pid }) => pids.has(pid)).reduce((sum, { bytes }) => sum + bytes, 0);
    }
    const before = this.#usedBefore.get(workerId)?.get(deviceId) ?? null;
    const now = usedOn([deviceId], reading).get(deviceId) ?? null;
    return before === null || now === null ? 0 : Math.max(0, now - before);
  }

  #needOf(applicant: Applicant, memoryKey: string, candidates: readonly Device[]): Pick<AdmissionRequest, "needOf" | "because"> {
    const { spec, words, modelPath } = applicant;
    const spread = Math.max(1, spec.devices.length, spec.needs?.devices ?? 1);
    const said = spec.needs?.memory_bytes;
    if (typeof said === "number") return { needOf: () => Math.ceil(said / spread), because: "place.memory says so" };
    const onGpu = candidates.some(({ kind }) => kind !== "cpu");
    const file = identifyModel(modelPath);
    const model = file === null ? null : readModelFacts(file);
    const need: MemoryNeed = estimateNeed({ recipe: spec.runtime, words, model, slots: spec.slots, onGpu });
    if (need.kind === "share") {
      const because = `its server takes ${need.ratio} of each device`;
      return { needOf: ({ totalBytes }) => (totalBytes === null ? null : Math.floor(totalBytes * need.ratio)), because };
    }
    const before = this.#options.notes.get(memoryKey);
    if (before !== null) return { needOf: () => before, because: "the most that it has taken so far" };
    if (need.kind === "unknown") return { needOf: () => null, because: "" };
    const sum = need.parts.reduce((total, { bytes }) => total + bytes, 0);
    const because = `estimated: ${need.parts.map(({ what, bytes }) => `${formatBytes(bytes)} ${what}`).join(" + ")}`;
    return { needOf: () => Math.ceil(sum / spread), because };
  }
}

/** What is in use on some devices. */
function usedOn(ids: readonly string[], reading: DeviceReading | null): ReadonlyMap<string, number | null> {
  const found = ids.map((id) => reading?.devices.find((device) => device.id === id)?.memoryUsedBytes ?? null);
  return new Map(ids.map((id, index) => [id, found[index] ?? null]));
}

/** Drivers give memory back 0.5 to 1.5 s after the end of a process. */
const SETTLE_MS = 2_000;
const SETTLE_PAUSE_MS = 100;

type NoRoom = Extract<Admission, { readonly kind: "no_room" }>;

/** Nobody can make room for it here, and nobody should try. */
function tooLarge(spec: WorkerSpec, { reason, neededBytes, freeBytes }: NoRoom): QhError {
  return new QhError(
    "model_too_large",
    `cannot ever start a worker of ${spec.model.id} here: ${reason}; give it a smaller context or fewer slots, spread it over more devices (place.devices), or set place.memory where the estimate is wrong`,
    { details: { cause: "insufficient_memory", needed_bytes: neededBytes, free_bytes: freeBytes } },
  );
}

function noRoom(spec: WorkerSpec, result: NoRoom): QhError {
  const { neededBytes, freeBytes, wanted, missingBytes } = result;
  return new QhError(
    "insufficient_memory",
    `cannot start a worker of ${spec.model.id} here: ${result.reason}; stop another worker, give it a smaller context or fewer slots, or set place.memory where the estimate is wrong`,
    {
      details: {
        ...{ cause: "insufficient_memory", needed_bytes: neededBytes, free_bytes: freeBytes },
        ...{ devices_wanted: wanted, missing_bytes: Object.fromEntries(missingBytes) },
      },
    },
  );
}

/** What a measurement is remembered under: the model's content and everything that it is started with. */
function memoryKeyOf({ spec, words, modelPath }: Applicant): string {
  const { slots, needs, devices, env } = spec;
  const spread = Math.max(devices.length, needs?.devices ?? 0);
  const text = JSON.stringify([identifyModel(modelPath) ?? modelPath, words, Object.entries(env).sort(), slots, spread]);
  return createHash("sha256").update(text).digest("hex").slice(0, KEY_CHARACTERS);
}

const KEY_CHARACTERS = 32;
