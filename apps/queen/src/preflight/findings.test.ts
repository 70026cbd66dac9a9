import type { HiveFinding } from "@queen-and-hive/protocol";
import { describe, expect, it } from "vitest";
import { deviceFindings } from "./device-findings.ts";
import { engineFindings } from "./engine-findings.ts";
import { hiveFindings } from "./hive-findings.ts";
import { machineFindings } from "./machine-findings.ts";
import { requireFit } from "./preflight.ts";
import type { ProbeReport, StorageReport } from "./probe-report.ts";
import { storageFindings } from "./storage-findings.ts";

const GIB = 1_073_741_824;
const STORAGE: StorageReport = {
  place: "/home/me",
  blocked: null,
  writable: true,
  network: null,
  noexec: false,
  freeBytes: 100 * GIB,
};
const GOOD: ProbeReport = {
  timeS: 1_000,
  os: "Linux",
  kernel: "6.1.0",
  arch: "x86_64",
  user: "me",
  libc: "glibc 2.36",
  missingTools: [],
  flock: true,
  memory: { totalBytes: 64 * GIB, availableBytes: 60 * GIB },
  state: STORAGE,
  install: STORAGE,
  models: "found",
  pci: { nvidia: 0, amd: 0 },
  nvidia: [],
  nvidiaError: null,
  amdTool: null,
  amdError: null,
  amdMemoryBytes: [],
  identityPid: null,
  port: null,
  bins: [],
  engines: [],
  hive: { kind: "missing" },
};
const LIMITS = { deadlineMs: 20_000, programMs: 5_000, clockSkewMs: 5_000, diskFreeBytes: GIB, memoryFreeBytes: GIB };
const TIMES = { sentMs: 1_000_000, answeredMs: 1_000_500 };
const PLACES = { stateDir: "/home/me/state", installDir: "/home/me/hive", modelsDir: "/srv/models" };
const QUEEN = { queenId: "queen-mine", version: "0.1.0", protocol: { min: 1, max: 1 } };
const IDENTITY = {
  hive_id: "gpu1",
  hive_epoch: 1,
  pid: 4711,
  start_time: 1,
  boot_id: "0e2dd4a7-63b5-4f0a-9a0e-7a1c5f2f7c11",
  url: "http://127.0.0.1:9200",
  version: "0.1.0",
  protocol: { min: 1, max: 1 },
};
const answering = (status: object): Partial<ProbeReport> => ({
  hive: {
    kind: "answered",
    version: "hive 0.1.0",
    status: JSON.stringify({ state: "running", owner: null, workers: 0, ...status }),
  },
});

function findingsOf(change: Partial<ProbeReport>, runtimes: readonly string[] = []): readonly HiveFinding[] {
  const report = { ...GOOD, ...change };
  return [
    ...machineFindings(report, TIMES, LIMITS, true),
    ...storageFindings(report, PLACES, LIMITS),
    ...deviceFindings(report),
    ...hiveFindings(report, 9200, QUEEN),
    ...engineFindings(report, runtimes),
  ];
}

describe("the findings on a host", () => {
  it("are all well on a good one", () => {
    expect(findingsOf({}).filter(({ level }) => level !== "ok")).toEqual([]);
    expect(findingsOf({}).every(({ advice }) => advice === null)).toBe(true);
  });

  const wrong: readonly [string, Partial<ProbeReport>, Partial<HiveFinding>][] = [
    ["another system", { os: "Darwin" }, { check: "os", level: "fail" }],
    ["an architecture that we build nothing for", { arch: "riscv64" }, { check: "arch", level: "fail" }],
    ["a musl distribution", { libc: "musl libc (x86_64)" }, { check: "glibc", level: "fail" }],
    ["an old glibc", { libc: "ldd (GNU libc) 2.17" }, { check: "glibc", level: "fail" }],
    ["no flock", { missingTools: ["flock"] }, { check: "tools", level: "fail" }],
    ["the flock of busybox", { flock: false }, { check: "tools", level: "fail" }],
    ["little memory", { memory: { totalBytes: GIB, availableBytes: 1_000 } }, { check: "memory", level: "warn" }],
    ["a clock behind", { timeS: 900 }, { check: "clock", level: "warn", found: expect.stringContaining("behind") }],
    ["a clock ahead", { timeS: 1_100 }, { check: "clock", level: "warn", found: expect.stringContaining("ahead") }],
    ["state on NFS", { state: { ...STORAGE, network: "nfs" } }, { check: "state_dir", level: "fail" }],
    ["a home without write access", { state: { ...STORAGE, writable: false } }, { check: "state_dir", level: "fail" }],
    ["a file in the way", { install: { ...STORAGE, blocked: "/home/me/hive" } }, { check: "install_dir", level: "fail" }],
    ["an install_dir that is mounted noexec", { install: { ...STORAGE, noexec: true } }, { check: "install_dir", level: "fail" }],
    ["a full disk", { state: { ...STORAGE, freeBytes: 1_000 } }, { check: "disk", level: "fail" }],
    ["a disk that is almost full", { state: { ...STORAGE, freeBytes: GIB / 2 } }, { check: "disk", level: "warn" }],
    ["no models", { models: "missing" }, { check: "models_dir", level: "warn" }],
    ["a GPU without a driver", { pci: { nvidia: 2, amd: 0 } }, { check: "gpu", level: "warn" }],
    ["a driver that hangs", { nvidiaError: "no answer within 5 s" }, { check: "gpu", level: "warn" }],
    ["an AMD GPU without ROCm", { pci: { nvidia: 0, amd: 1 }, amdMemoryBytes: [GIB] }, { check: "gpu", level: "warn" }],
    ["a foreign process on the port", { port: { user: "root", pid: 7, command: "nginx" } }, { check: "port", level: "fail" }],
    ["another user's process on the port", { port: { user: "bob", pid: null, command: "" } }, { check: "port", level: "fail" }],
    [
      "another program in the hive's place",
      { hive: { kind: "answered", version: "Apache Hive", status: null } },
      { check: "hive", level: "fail" },
    ],
    ["a hive that does not run", { hive: { kind: "failed", complaint: "bad library" } }, { check: "hive", level: "fail" }],
    ["another queen's hive", answering({ identity: IDENTITY, owner: "queen-other" }), { check: "hive", level: "fail" }],
    ["another version", answering({ identity: { ...IDENTITY, version: "0.0.9" } }), { check: "hive", level: "warn" }],
    [
      "another protocol",
      answering({ identity: { ...IDENTITY, protocol: { min: 7, max: 8 } } }),
      { check: "hive", level: "fail" },
    ],
    [
      "an engine beside the PATH",
      { engines: [{ name: "vllm", onPath: false, path: "/opt/v/bin/vllm" }] },
      { check: "engine", level: "warn" },
    ],
  ];

  it.each(wrong)("name %s and say what to do", (_what, change, expected) => {
    const found = findingsOf(change).filter(({ level }) => level !== "ok");
    expect(found).toEqual([expect.objectContaining({ ...expected, advice: expect.any(String) })]);
  });

  it("take our own daemon on its port for what it is", () => {
    const findings = findingsOf({
      identityPid: 4711,
      port: { user: "me", pid: 4711, command: "hive run" },
      ...answering({ identity: IDENTITY }),
    });
    expect(findings.filter(({ level }) => level !== "ok")).toEqual([]);
  });

  it("say that a configured program is missing, and leave aside what lies about of the same runtime", () => {
    const bins = [{ index: 0, found: false, bin: "/opt/vllm" }];
    const engines = [{ name: "vllm", onPath: true, path: "/usr/bin/vllm" }];
    const found = findingsOf({ bins, engines }, ["vllm"]).filter(({ check }) => check === "engine");
    expect(found).toMatchObject([{ level: "warn", found: expect.stringContaining("/opt/vllm") }]);
  });
});

it("stops a start with every reason, and with the kind of the only one where it has a kind of its own", () => {
  const port = findingsOf({ port: { user: "root", pid: 7, command: "nginx" } });
  expect(() => requireFit("gpu1", "me@gpu1", port)).toThrow(expect.objectContaining({ kind: "port_in_use" }));
  const both = findingsOf({ os: "Darwin", port: { user: "root", pid: 7, command: "nginx" } });
  expect(() => requireFit("gpu1", "me@gpu1", both)).toThrow(expect.objectContaining({ kind: "preflight_failed" }));
  expect(() => requireFit("gpu1", "me@gpu1", both)).toThrow(/Darwin.*nginx/);
  expect(() => requireFit("gpu1", "me@gpu1", findingsOf({}))).not.toThrow();
});
