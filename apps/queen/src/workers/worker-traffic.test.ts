import { ManualClock } from "@queen-and-hive/dev-env";
import { newWorkerId, parseHiveId } from "@queen-and-hive/protocol";
import { describe, expect, it } from "vitest";
import type { ReadyWorker } from "./worker-directory.ts";
import { WorkerTraffic } from "./worker-traffic.ts";

function readyWorker(): ReadyWorker {
  const hiveId = parseHiveId("local");
  if (hiveId === null) throw new Error("local is a hive id");
  const lost = new AbortController().signal;
  return {
    workerId: newWorkerId(),
    incarnation: 1,
    hiveId,
    url: "http://x",
    basePath: "/v1",
    model: "m",
    key: null,
    overflow: false,
    slots: 4,
    lost,
  };
}

describe("WorkerTraffic", () => {
  it("trusts a worker until it has failed so many in a row, then tries it after a while that grows, and forgives at a success", async () => {
    const clock = new ManualClock();
    const traffic = new WorkerTraffic({
      failuresMax: 3,
      isOutOfReach: () => false,
      onTrouble: () => undefined,
      onTrial: () => undefined,
      clock,
    });
    const worker = readyWorker();
    traffic.report(worker, "server_error");
    traffic.report(worker, "timeout");
    expect(traffic.standing(worker)).toBe("trusted");
    traffic.report(worker, "reset");
    expect(traffic.standing(worker)).toBe("shunned");
    await clock.advance(1_000);
    expect(traffic.standing(worker)).toBe("on_trial");
    traffic.report(worker, "server_error");
    await clock.advance(1_999);
    expect(traffic.standing(worker)).toBe("shunned");
    await clock.advance(1);
    expect(traffic.standing(worker)).toBe("on_trial");
    traffic.report(worker, "ok");
    expect(traffic.standing(worker)).toBe("trusted");
    expect(traffic.standing(readyWorker())).toBe("trusted");
  });

  it("tells of a hive whose worker could not be reached again and again, and of nothing else", () => {
    const troubles: string[] = [];
    const traffic = new WorkerTraffic({
      failuresMax: 2,
      isOutOfReach: () => false,
      onTrouble: (hive) => troubles.push(hive),
      onTrial: () => undefined,
      clock: new ManualClock(),
    });
    const worker = readyWorker();
    for (const outcome of ["connect_failed", "server_error", "connect_failed", "ok", "connect_failed"] as const)
      traffic.report(worker, outcome);
    expect(troubles).toEqual([]);
    traffic.report(worker, "connect_failed");
    expect(troubles).toEqual(["local"]);
  });

  it("lays nothing at a worker's door while its hive is out of reach", () => {
    let isLost = true;
    const clock = new ManualClock();
    const traffic = new WorkerTraffic({
      failuresMax: 1,
      isOutOfReach: () => isLost,
      onTrouble: () => undefined,
      onTrial: () => undefined,
      clock,
    });
    const worker = readyWorker();
    traffic.report(worker, "reset");
    expect(traffic.standing(worker)).toBe("trusted");
    isLost = false;
    traffic.report(worker, "reset");
    expect(traffic.standing(worker)).toBe("shunned");
  });
});
