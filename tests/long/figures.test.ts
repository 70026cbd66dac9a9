import { beforeAll, expect, it } from "vitest";
import { benchHive } from "../../bench/hive.ts";
import { benchReadiness } from "../../bench/readiness.ts";
import { benchSupervision } from "../../bench/supervision/supervision.ts";
import type { Row } from "../../bench/table.ts";
import { buildHive } from "./built-hive.ts";

beforeAll(buildHive);

// Only what a busy machine cannot change: times are for `npm run bench` to print.
it("the bench of readiness: no request to learn of it, and an answer long before a client that polls has one", async () => {
  const rows = await benchReadiness();
  expect(figureOf(rows, "readiness_requests")).toBe(0);
  expect(figureOf(rows, "polling_ratio")).toBeGreaterThan(5);
});

it("the bench of the hive: its memory is within its aim", async () => {
  const rows = await benchHive();
  expect(figureOf(rows, "idle_anonymous")).toBeLessThanOrEqual(60);
});

it("the bench of the supervision: kill -9 of the daemon costs no process, leaves no orphan and no duplicate, and idling costs little memory", async () => {
  const rows = await benchSupervision();
  const aftermath = ["kept_hive", "orphans_hive", "duplicates_hive"].map((id) => figureOf(rows, id));
  expect(aftermath).toEqual([20, 0, 0]);
  expect(figureOf(rows, "idle_workers_anonymous")).toBeLessThanOrEqual(70);
});

function figureOf(rows: readonly Row[], id: string): number | undefined {
  return rows.find((row) => row.id === id)?.value;
}
