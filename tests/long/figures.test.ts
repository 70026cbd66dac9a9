import { beforeAll, expect, it } from "vitest";
import { benchHive } from "../../bench/hive.ts";
import { benchReadiness } from "../../bench/readiness.ts";
import type { Row } from "../../bench/table.ts";
import { buildHive } from "./built-hive.ts";

// A busy machine makes every wait longer; what is more than this many times its aim is a fault and no load.
const BUSY = 4;

beforeAll(buildHive);

it("the bench of readiness: no request to learn of it, and an answer long before a client that polls has one", async () => {
  const rows = rowsById(await benchReadiness());
  expect(rows.get("readiness_requests")?.value).toBe(0);
  expect(rows.get("polling_ratio")?.value).toBeGreaterThan(20);
  expectAims(rows);
});

it("the bench of the hive: its memory is within its aim", async () => {
  const rows = rowsById(await benchHive());
  expect(rows.get("idle_anonymous")?.value).toBeLessThanOrEqual(60);
  expectAims(rows);
});

function expectAims(rows: ReadonlyMap<string, Row>): void {
  const aims = [...rows.values()].filter(({ atMost }) => atMost !== null);
  expect(aims.length).toBeGreaterThan(0);
  for (const { what, value, atMost } of aims) expect(value, what).toBeLessThanOrEqual((atMost ?? 0) * BUSY);
}

function rowsById(rows: readonly Row[]): ReadonlyMap<string, Row> {
  return new Map(rows.map((row) => [row.id, row]));
}
