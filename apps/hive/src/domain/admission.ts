import { formatBytes } from "@queen-and-hive/protocol";

/** A device as admission sees it; null: its driver does not say. */
export interface AdmissionDevice {
  readonly id: string;
  readonly totalBytes: number | null;
  /** By whomever, processes of others included. */
  readonly usedBytes: number | null;
  /** What workers of ours that still load were promised there and have not taken yet. */
  readonly reservedBytes: number;
  /** How many workers of ours are there. */
  readonly workers: number;
  /** What the operator wants to stay free. */
  readonly keepFreeBytes: number;
}

/** What a worker asks for. */
export interface AdmissionRequest {
  /** How many devices; one processor stands for any one of them. */
  readonly count: number;
  /** These and no others, when any is named. */
  readonly named: readonly string[];
  /** On each device; null when nobody knows. */
  readonly needOf: (device: AdmissionDevice) => number | null;
  /** How the need comes about, for people. */
  readonly because: string;
}

/** Which devices a worker gets, or why it gets none. */
export type Admission =
  | {
      readonly kind: "admitted";
      readonly devices: readonly string[];
      /** On each of them; null when it is not known. */
      readonly bytesPerDevice: number | null;
    }
  | { readonly kind: "no_such_device"; readonly reason: string }
  | {
      readonly kind: "no_room";
      readonly neededBytes: number;
      readonly freeBytes: number;
      /** How many devices are wanted. */
      readonly wanted: number;
      /** How much is missing on each device that could be among them if nobody else were there; 0 where it fits. */
      readonly missingBytes: ReadonlyMap<string, number>;
      /** Whether it would not fit either if nobody else were there. */
      readonly forEver: boolean;
      readonly reason: string;
    };

/** Chooses the devices of a worker: those that are named, else those with the most room, the least used first where nothing is known. */
export function admit(request: AdmissionRequest, devices: readonly AdmissionDevice[]): Admission {
  const { named, count } = request;
  const missing = named.filter((id) => !devices.some((device) => device.id === id));
  if (missing.length > 0) return { kind: "no_such_device", reason: `${listOf(missing)} is not among ${listOf(idsOf(devices))}` };
  const candidates = named.length > 0 ? devices.filter(({ id }) => named.includes(id)) : ranked(devices);
  const wanted = named.length > 0 ? named.length : count;
  if (candidates.length < wanted) {
    return {
      kind: "no_such_device",
      reason: `${wanted} are wanted and there are ${candidates.length}: ${listOf(idsOf(devices))}`,
    };
  }
  const judged = candidates.map((device) => {
    const left = leftBytes(device);
    return { device, need: request.needOf(device), left, free: freeBytes(device) };
  });
  const fitting = judged.filter(({ need, free }) => need === null || free === null || need <= free);
  if (fitting.length >= wanted) {
    const chosen = fitting.slice(0, wanted);
    const needs = chosen.map(({ need }) => need);
    return {
      kind: "admitted",
      devices: chosen.map(({ device }) => device.id),
      bytesPerDevice: needs.some((need) => need === null) ? null : Math.max(0, ...needs.map((need) => need ?? 0)),
    };
  }
  // The one that comes closest among those that are missing tells how much is missing.
  const closest = judged.filter((one) => !fitting.includes(one)).sort((one, other) => lackOf(one) - lackOf(other))[0];
  const couldFit = judged.filter(({ device, need }) => need === null || need <= capacityBytes(device));
  return {
    kind: "no_room",
    neededBytes: closest?.need ?? 0,
    freeBytes: closest?.free ?? 0,
    wanted,
    missingBytes: new Map(couldFit.map((one) => [one.device.id, fitting.includes(one) ? 0 : lackOf(one)])),
    forEver: couldFit.length < wanted,
    reason: `it needs ${perDevice(closest?.need ?? 0, wanted)} (${request.because}), but ${judged.map(({ device }) => arithmetic(device)).join("; ")}`,
  };
}

/** Memory that a new worker may take; null when the driver does not say. */
function freeBytes(device: AdmissionDevice): number | null {
  const left = leftBytes(device);
  return left === null ? null : Math.max(0, left);
}

/** The same; negative where more is in use than may be. */
function leftBytes({ totalBytes, usedBytes, reservedBytes, keepFreeBytes }: AdmissionDevice): number | null {
  return totalBytes === null || usedBytes === null ? null : totalBytes - keepFreeBytes - usedBytes - reservedBytes;
}

/** What a worker could have if nobody else were there. */
function capacityBytes({ totalBytes, keepFreeBytes }: AdmissionDevice): number {
  return totalBytes === null ? Number.POSITIVE_INFINITY : Math.max(0, totalBytes - keepFreeBytes);
}

function lackOf({ need, left }: { readonly need: number | null; readonly left: number | null }): number {
  return (need ?? 0) - (left ?? 0);
}

function ranked(devices: readonly AdmissionDevice[]): readonly AdmissionDevice[] {
  return [...devices].sort(
    (one, other) =>
      (freeBytes(other) ?? 0) - (freeBytes(one) ?? 0) || one.workers - other.workers || (one.id < other.id ? -1 : 1),
  );
}

function arithmetic(device: AdmissionDevice): string {
  const { id, totalBytes, usedBytes, reservedBytes, keepFreeBytes } = device;
  const terms = [
    `${formatBytes(totalBytes ?? 0)}`,
    `${formatBytes(usedBytes ?? 0)} in use`,
    ...(reservedBytes > 0 ? [`${formatBytes(reservedBytes)} reserved for workers that load`] : []),
    ...(keepFreeBytes > 0 ? [`${formatBytes(keepFreeBytes)} kept free`] : []),
  ];
  return `${id} has ${formatBytes(freeBytes(device) ?? 0)} left (${terms.join(" - ")})`;
}

function perDevice(bytes: number, devices: number): string {
  return devices > 1 ? `${formatBytes(bytes)} on each of ${devices} devices` : formatBytes(bytes);
}

function idsOf(devices: readonly AdmissionDevice[]): readonly string[] {
  return devices.map(({ id }) => id);
}

function listOf(ids: readonly string[]): string {
  return ids.length === 0 ? "no device" : ids.join(", ");
}
