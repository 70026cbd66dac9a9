import { beforeAll, expect, it } from "vitest";
import { benchHive } from "../../bench/hive.ts";
import { benchReadiness } from "../../bench/readiness.ts";
import { benchRecovery } from "../../bench/recovery.ts";
import { benchSupervision } from "../../bench/supervision/supervision.ts";
import type { Row } from "../../bench/table.ts";
import { buildHive } from "./built-hive.ts";

beforeAll(buildHive);

/** How much longer than aimed at something may take on a machine that is busy with other things. */
const PATIENCE = 4;

// What a busy machine cannot change; times, which `npm run bench` prints, only with much patience.
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

// The bench itself throws when a worker is not the process that it was, or when "down" ends with anything but proof of all.
it("the bench of loss and return: lost hives, hosts and queens are back in time, and the cascade ends all, deaf workers too", async () => {
  const rows = await benchRecovery(true);
  expect(rows.map(({ id }) => id)).toEqual(expect.arrayContaining(["hive_back", "host_back", "queen_serving", "cascade"]));
  const late = rows.filter(({ value, atMost }) => !(value >= 0 && value <= (atMost ?? Number.POSITIVE_INFINITY) * PATIENCE));
  expect(late).toEqual([]);
});

function figureOf(rows: readonly Row[], id: string): number | undefined {
  return rows.find((row) => row.id === id)?.value;
}
