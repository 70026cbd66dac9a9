import { QhError } from "@queen-and-hive/protocol";
import { expect, it } from "vitest";
import { missingMemoryOf } from "./missing-memory.ts";

const missing = (details: Readonly<Record<string, unknown>>) =>
  missingMemoryOf(new QhError("insufficient_memory", "cannot start a worker here", { details }));

it("takes what a hive says of each device", () => {
  const details = { needed_bytes: 16, free_bytes: 14, devices_wanted: 2, missing_bytes: { "GPU-1": 0, "GPU-2": 2 } };
  const onEach = [
    { device: "GPU-1", bytes: 0 },
    { device: "GPU-2", bytes: 2 },
  ];
  expect(missing(details)).toEqual({ devices: 2, onEach });
});

it("takes the one number of a hive that does not tell its devices apart, or that talks nonsense of them", () => {
  const one = { devices: 1, onEach: [{ device: null, bytes: 2 }] };
  const many = Object.fromEntries(Array.from({ length: 65 }, (_, index) => [`GPU-${index}`, 1]));
  const nonsense = [
    { devices_wanted: 0, missing_bytes: { a: 1 } },
    { devices_wanted: 1.5, missing_bytes: { a: 1, b: 1 } },
    { devices_wanted: 2, missing_bytes: { a: 1 } },
    { devices_wanted: 1, missing_bytes: { a: -1 } },
    { devices_wanted: 1, missing_bytes: { a: "much" } },
    { devices_wanted: 1, missing_bytes: null },
    { devices_wanted: 1, missing_bytes: many },
  ];
  for (const details of [{}, ...nonsense]) expect(missing({ needed_bytes: 16, free_bytes: 14, ...details })).toEqual(one);
  expect(missing({ needed_bytes: 14, free_bytes: 16 })).toEqual({ devices: 1, onEach: [{ device: null, bytes: 0 }] });
  expect(missing({})).toBeNull();
  expect(missing({ needed_bytes: "14" })).toBeNull();
});
