import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { createMetrics } from "./metrics.ts";

describe("metrics", () => {
  it("are rendered as Prometheus text", async () => {
    const metrics = createMetrics();
    metrics.counter("queen_requests_total", "Requests.", ["status"]).inc({ status: 200 }, 2);
    metrics.gauge("queen_hives", "Hives.", ["state"]).set({ state: "running" }, 3);
    metrics.histogram("queen_wait_seconds", "Wait.", [], [0.1, 1]).observe(0.5);
    const text = await metrics.render();
    expect(text).toContain('queen_requests_total{status="200"} 2');
    expect(text).toContain('queen_hives{state="running"} 3');
    expect(text).toContain('queen_wait_seconds_bucket{le="1"} 1');
    expect(metrics.contentType).toContain("text/plain");
  });

  it("of two daemons in one process do not meet", async () => {
    const [queen, hive] = [createMetrics(), createMetrics()];
    queen.counter("things_total", "Things.").inc();
    hive.counter("things_total", "Things.").inc(5);
    expect([await queen.render(), await hive.render()]).toEqual([
      expect.stringContaining("things_total 1"),
      expect.stringContaining("things_total 5"),
    ]);
  });

  it("asked for twice are the same one, and never another kind", () => {
    const metrics = createMetrics();
    expect(metrics.counter("a_total", "A.")).toBe(metrics.counter("a_total", "A."));
    expect(() => metrics.gauge("a_total", "A.")).toThrow(/taken by another kind/);
  });

  it("can look a value up at each scrape", async () => {
    const metrics = createMetrics();
    let value = 1;
    metrics.gauge("up_seconds", "Up.", [], (gauge) => gauge.set(value));
    expect(await metrics.render()).toContain("up_seconds 1");
    value = 2;
    expect(await metrics.render()).toContain("up_seconds 2");
  });

  it.each([0, 1, 63, 64, 65, 200])("show all of %i gathered entries in the scrape that follows, each once", async (count) => {
    const metrics = createMetrics();
    const total = metrics.counter("entries_total", "Entries.");
    const seen: number[] = [];
    const add = metrics.gathered<number>((entries) => {
      seen.push(...entries);
      total.inc(entries.length);
    });
    for (let entry = 0; entry < count; entry++) add(entry);
    expect(await metrics.render()).toContain(`entries_total ${count}\n`);
    expect(await metrics.render()).toContain(`entries_total ${count}\n`);
    expect(seen).toEqual(Array.from({ length: count }, (_, entry) => entry));
  });

  it("hold back few gathered entries although nobody scrapes", () => {
    let fed = 0;
    const add = createMetrics().gathered<number>((entries) => {
      fed += entries.length;
    });
    for (let entry = 0; entry < 10_000; entry++) add(entry);
    expect(fed).toBeGreaterThan(9_900);
  });

  it("wake an idle process for none of them", async () => {
    createMetrics().observeDefaultProcessMetrics();
    const before = performance.nodeTiming.uvMetricsInfo.loopCount;
    await sleep(1_000);
    expect(performance.nodeTiming.uvMetricsInfo.loopCount - before).toBeLessThan(50);
  });

  it("include those of the process once asked for", async () => {
    const metrics = createMetrics();
    metrics.observeDefaultProcessMetrics();
    const text = await metrics.render();
    expect(text).toContain("process_cpu_seconds_total");
    expect(text).toMatch(/^nodejs_eventloop_lag_seconds /m);
    expect(Number(/^nodejs_eventloop_active_seconds_total (\S+)$/m.exec(text)?.[1])).toBeGreaterThan(0);
  });
});
