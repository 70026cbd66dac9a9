import type { HiveRecord } from "@queen-and-hive/protocol";
import { expect, it } from "vitest";
import { formatHives } from "./hive-table.ts";

const NOW = Date.parse("2026-01-02T03:04:05.000Z");
const RUNNING: HiveRecord = {
  hive_id: "gpu1",
  hive_epoch: 3,
  state: "running",
  pid: 4711,
  start_time: 1,
  boot_id: "boot",
  url: "http://127.0.0.1:9200",
  version: "0.1.0",
  host: "gpu1",
  workers: 2,
  restarts: 0,
  since: "2026-01-02T03:00:00.000Z",
  devices: [
    { id: "GPU-1", kind: "cuda", name: "RTX 4090" },
    { id: "GPU-2", kind: "cuda", name: "RTX 4090" },
  ],
};
const FAILED: HiveRecord = {
  ...RUNNING,
  hive_id: "gpu2",
  state: "failed",
  pid: null,
  version: null,
  workers: 0,
  devices: [],
  last_error: "cannot reach gpu2: no route to host; look at its network",
};

it("says state, age, process, version, workers and devices of each hive, and counts devices of one name", () => {
  expect(formatHives([RUNNING], NOW, 80)).toBe(
    ["HIVE  STATE    AGE    PID   VERSION  WORKERS  DEVICES", "gpu1  running  4m 5s  4711  0.1.0    2        2x RTX 4090"].join(
      "\n",
    ),
  );
});

it("has the last error in the table where that fits, else whole below", () => {
  const wide = formatHives([RUNNING, FAILED], NOW, 200);
  expect(wide.split("\n")[2]).toContain("no route to host");
  const narrow = formatHives([RUNNING, FAILED], NOW, 80).split("\n");
  expect(narrow.every((line) => line.length <= 80)).toBe(true);
  expect(narrow.at(-1)).toBe("gpu2: cannot reach gpu2: no route to host; look at its network");
});

it("says who wants a hive stopped and what is being done to one", () => {
  const stopped = formatHives([{ ...FAILED, state: "stopped", stopped_by: "operator" }], NOW, 200);
  expect(stopped).toContain("stopped (by operator)");
  expect(formatHives([{ ...RUNNING, state: "starting", progress: "uploading, 43 %" }], NOW, 200)).toContain(
    "starting (uploading, 43 %)",
  );
});
