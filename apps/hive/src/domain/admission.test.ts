import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type AdmissionDevice, type AdmissionRequest, admit } from "./admission.ts";

const GIB = 1024 ** 3;

function gpu(id: string, more: Partial<AdmissionDevice> = {}): AdmissionDevice {
  return { id, totalBytes: 24 * GIB, usedBytes: 0, reservedBytes: 0, workers: 0, keepFreeBytes: 0, ...more };
}

function wants(gib: number | null, more: Partial<AdmissionRequest> = {}): AdmissionRequest {
  return { count: 1, named: [], needOf: () => (gib === null ? null : gib * GIB), because: "a test", ...more };
}

describe("admission", () => {
  it("gives the device with the most room", () => {
    const devices = [gpu("a", { usedBytes: 10 * GIB }), gpu("b", { usedBytes: 2 * GIB }), gpu("c", { reservedBytes: 20 * GIB })];
    expect(admit(wants(20), devices)).toEqual({ kind: "admitted", devices: ["b"], bytesPerDevice: 20 * GIB });
    expect(admit(wants(10, { count: 2 }), devices)).toMatchObject({ kind: "admitted", devices: ["b", "a"] });
  });

  it("refuses with the whole arithmetic", () => {
    const device = gpu("GPU-1", { usedBytes: 6 * GIB, reservedBytes: 3 * GIB, keepFreeBytes: 2 * GIB });
    const refusal = admit(wants(20, { because: "estimated: 18GiB weights + 2GiB overhead" }), [device]);
    expect(refusal).toEqual({
      kind: "no_room",
      neededBytes: 20 * GIB,
      freeBytes: 13 * GIB,
      wanted: 1,
      missingBytes: new Map([["GPU-1", 7 * GIB]]),
      forEver: false,
      reason:
        "it needs 20GiB (estimated: 18GiB weights + 2GiB overhead), but GPU-1 has 13GiB left (24GiB - 6GiB in use - 3GiB reserved for workers that load - 2GiB kept free)",
    });
  });

  it("tells how much is missing on each device that could be among those that are wanted", () => {
    const devices = [gpu("a", { usedBytes: 20 * GIB }), gpu("b", { usedBytes: 14 * GIB }), gpu("c", { usedBytes: 4 * GIB })];
    const missing = { a: 8 * GIB, b: 2 * GIB, c: 0 };
    const refusal = { kind: "no_room", neededBytes: 12 * GIB, freeBytes: 10 * GIB, wanted: 2 };
    expect(admit(wants(12, { count: 2 }), devices)).toMatchObject({ ...refusal, missingBytes: new Map(Object.entries(missing)) });
    expect(admit(wants(12, { named: ["b", "c"] }), devices)).toMatchObject({
      ...refusal,
      missingBytes: new Map(Object.entries({ b: 2 * GIB, c: 0 })),
    });
  });

  it("names no device that could never have it, and what an overfull one lacks in full", () => {
    const small = gpu("small", { usedBytes: 20 * GIB });
    const big = gpu("big", { totalBytes: 80 * GIB, usedBytes: 78 * GIB, keepFreeBytes: 6 * GIB });
    const refusal = { kind: "no_room", freeBytes: 4 * GIB, forEver: false, missingBytes: new Map([["big", 44 * GIB]]) };
    expect(admit(wants(40), [small, big])).toMatchObject(refusal);
  });

  it("tells what will never fit from what does not fit now", () => {
    const busy = gpu("a", { usedBytes: 23 * GIB, keepFreeBytes: 2 * GIB });
    expect(admit(wants(22), [busy])).toMatchObject({ kind: "no_room", forEver: false });
    expect(admit(wants(23), [busy])).toMatchObject({ kind: "no_room", forEver: true });
    expect(admit(wants(20, { count: 2 }), [busy, gpu("small", { totalBytes: 12 * GIB })])).toMatchObject({ forEver: true });
  });

  it("takes named devices and no others", () => {
    const devices = [gpu("a"), gpu("b", { usedBytes: 23 * GIB })];
    expect(admit(wants(10, { named: ["b"] }), devices)).toMatchObject({ kind: "no_room", freeBytes: GIB });
    expect(admit(wants(1, { named: ["b"] }), devices)).toMatchObject({ kind: "admitted", devices: ["b"] });
    expect(admit(wants(1, { named: ["b", "x"] }), devices)).toEqual({ kind: "no_such_device", reason: "x is not among a, b" });
  });

  it("cannot give more devices than there are", () => {
    expect(admit(wants(1, { count: 2 }), [gpu("cpu")])).toEqual({
      kind: "no_such_device",
      reason: "2 are wanted and there are 1: cpu",
    });
    expect(admit(wants(1), [])).toMatchObject({ kind: "no_such_device" });
  });

  it("lets an unknown need in, and a known one on a device that says nothing of its memory", () => {
    const full = gpu("a", { usedBytes: 24 * GIB, workers: 1 });
    expect(admit(wants(null), [full, gpu("b", { usedBytes: 24 * GIB })])).toEqual({
      kind: "admitted",
      devices: ["b"],
      bytesPerDevice: null,
    });
    expect(admit(wants(99), [gpu("a", { usedBytes: null })])).toMatchObject({ kind: "admitted", devices: ["a"] });
  });

  it("never promises more than a device has, however many come", () => {
    const bytes = fc.integer({ min: 0, max: 30 });
    const device = fc.record({ usedBytes: bytes, keepFreeBytes: fc.integer({ min: 0, max: 4 }) });
    fc.assert(
      fc.property(
        fc.array(device, { minLength: 1, maxLength: 4 }),
        fc.array(fc.tuple(bytes, fc.integer({ min: 1, max: 3 }))),
        (parts, requests) => {
          const devices = parts.map((part, index) => ({ ...gpu(`gpu${index}`, part), totalBytes: 24 }));
          for (const [need, count] of requests) {
            const answer = admit({ count, named: [], needOf: () => need, because: "" }, devices);
            if (answer.kind !== "admitted") continue;
            expect(new Set(answer.devices).size).toBe(count);
            for (const chosen of devices.filter(({ id }) => answer.devices.includes(id))) {
              chosen.reservedBytes += need;
              expect((chosen.usedBytes ?? 0) + chosen.keepFreeBytes + chosen.reservedBytes).toBeLessThanOrEqual(
                need === 0 ? Number.POSITIVE_INFINITY : chosen.totalBytes,
              );
            }
          }
        },
      ),
    );
  });
});
