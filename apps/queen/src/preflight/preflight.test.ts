import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { Deadline } from "@queen-and-hive/daemon";
import { freePort, type TemporaryDirectory, temporaryDirectory } from "@queen-and-hive/dev-env";
import { QhError } from "@queen-and-hive/protocol";
import { expect, it } from "vitest";
import { createLocalHost } from "../hosts/local-host.ts";
import { parseProbe } from "./probe-report.ts";
import { type ProbeQuestion, probeArgv } from "./probe-script.ts";

/** Runs the real probe on this machine, with a PATH and a home of the test's own. */
async function probe(directory: TemporaryDirectory, question: Partial<ProbeQuestion> = {}, bin?: string) {
  const argv = probeArgv({
    stateDir: directory.join("state", "of", "a hive"),
    installDir: null,
    modelsDir: null,
    port: 0,
    bins: {},
    program: null,
    limitS: 1,
    ...question,
  });
  const path = `${bin === undefined ? "" : `${bin}:`}/usr/bin:/bin`;
  await using host = createLocalHost();
  const end = await host.exec(["env", `HOME=${directory.path}`, `PATH=${path}`, ...argv], { deadline: Deadline.in(20_000) });
  return parseProbe(end, host.name);
}

async function program(path: string, text: string): Promise<void> {
  await mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
  await writeFile(path, `#!/bin/sh\n${text}\n`);
  await chmod(path, 0o755);
}

it("sees this machine as it is", async () => {
  await using directory = await temporaryDirectory("qh-probe");
  const report = await probe(directory, { installDir: directory.join("install"), modelsDir: directory.join("models") });
  expect(report).toMatchObject({
    os: "Linux",
    flock: true,
    missingTools: [],
    state: { place: directory.path, blocked: null, writable: true, network: null },
    install: { place: directory.path, writable: true },
    models: "missing",
    port: null,
    hive: { kind: "unasked" },
    engines: [],
  });
  expect(report.memory?.totalBytes).toBeGreaterThan(report.memory?.availableBytes ?? Number.POSITIVE_INFINITY);
  expect(report.state.freeBytes).toBeGreaterThan(0);
  expect(Math.abs(report.timeS * 1_000 - Date.now())).toBeLessThan(20_000);
});

it("knows a good flock though another look at the machine goes on at the same time", async () => {
  await using directory = await temporaryDirectory("qh-probe");
  const other = spawn("flock", ["-x", "/", "sh", "-c", "echo locked; exec cat"], { stdio: ["pipe", "pipe", "inherit"] });
  const gone = once(other, "exit");
  try {
    await once(other.stdout, "data");
    expect((await probe(directory)).flock).toBe(true);
  } finally {
    other.stdin.end();
    await gone;
  }
});

it("names the process that listens on the port, and tells our own daemon from a foreign one", async () => {
  await using directory = await temporaryDirectory("qh-probe");
  const port = await freePort();
  const server = createServer().listen(port, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  await mkdir(directory.join("state"));
  await writeFile(directory.join("state", "identity.json"), JSON.stringify({ hive_id: "a", pid: process.pid }, null, 2));
  const report = await probe(directory, { port, stateDir: directory.join("state") });
  await new Promise((resolve) => server.close(resolve));
  expect(report.port?.pid).toBe(process.pid);
  expect(report.port?.command).toContain("node");
  expect(report.identityPid).toBe(process.pid);
  expect((await probe(directory, { port })).port).toBeNull();
});

it("reads GPUs from nvidia-smi, and does not wait for one that hangs", async () => {
  await using directory = await temporaryDirectory("qh-probe");
  await program(directory.join("good", "nvidia-smi"), "echo 'GPU-1a2b, NVIDIA GeForce RTX 4090, 24564, 550.54.14'");
  const good = await probe(directory, {}, directory.join("good"));
  expect(good.nvidia).toEqual([
    { uuid: "GPU-1a2b", name: "NVIDIA GeForce RTX 4090", memoryBytes: 24_564 * 1_048_576, driver: "550.54.14" },
  ]);
  await program(directory.join("sick", "nvidia-smi"), "trap '' TERM; exec sleep 300");
  const startedMs = Date.now();
  const sick = await probe(directory, {}, directory.join("sick"));
  expect(sick.nvidiaError).toBe("no answer within 1 s");
  expect(Date.now() - startedMs).toBeLessThan(10_000);
  await program(directory.join("broken", "nvidia-smi"), "echo 'NVIDIA-SMI has failed' >&2; exit 9");
  expect((await probe(directory, {}, directory.join("broken"))).nvidiaError).toBe("NVIDIA-SMI has failed");
}, 60_000);

it("finds engines beside the PATH, and says which configured programs are missing", async () => {
  await using directory = await temporaryDirectory("qh-probe");
  await program(directory.join(".local", "bin", "vllm"), "exit 0");
  await program(directory.join("on path", "llama-server"), "exit 0");
  const bins = { "llama-server": directory.join("on path", "llama-server"), mine: "/nowhere/my engine" };
  const report = await probe(directory, { bins }, directory.join("on path"));
  expect(report.engines).toEqual([
    { name: "llama-server", onPath: true, path: directory.join("on path", "llama-server") },
    { name: "vllm", onPath: false, path: directory.join(".local", "bin", "vllm") },
  ]);
  expect(report.bins).toEqual([
    { index: 0, found: true, bin: bins["llama-server"] },
    { index: 1, found: false, bin: "/nowhere/my engine" },
  ]);
});

it("tells a hive from another program, one that is missing and one that cannot run", async () => {
  await using directory = await temporaryDirectory("qh-probe");
  await program(directory.join("hive"), `case $1 in --version) echo 'hive 0.1.0 (abc)';; *) echo '{"state":"stopped"}';; esac`);
  expect((await probe(directory, { program: [directory.join("hive")] })).hive).toEqual({
    kind: "answered",
    version: "hive 0.1.0 (abc)",
    status: '{"state":"stopped"}',
  });
  await program(directory.join("bees"), "echo 'Apache Hive 4'");
  expect((await probe(directory, { program: [directory.join("bees")] })).hive).toMatchObject({ version: "Apache Hive 4" });
  expect((await probe(directory, { program: [directory.join("none")] })).hive).toEqual({ kind: "missing" });
  await program(directory.join("broken"), "echo 'bad library' >&2; exit 1");
  expect((await probe(directory, { program: [directory.join("broken")] })).hive).toEqual({
    kind: "failed",
    complaint: "bad library",
  });
}, 60_000);

it("sees a file where a directory should be", async () => {
  await using directory = await temporaryDirectory("qh-probe");
  await writeFile(directory.join("state"), "");
  await symlink(directory.join("state"), directory.join("link"));
  expect((await probe(directory, { stateDir: directory.join("link", "a") })).state.blocked).toBe(directory.join("link"));
});

it("believes nothing but a whole answer, whatever a login shell prints around it", () => {
  const whole = "Welcome!\nqueen-probe os Hacked\nqueen-probe begin 1\nqueen-probe os Linux\nqueen-probe end 1\nbye\n";
  const end = { stderr: "", exitCode: 0 };
  expect(parseProbe({ ...end, stdout: whole }, "gpu1").os).toBe("Linux");
  for (const stdout of ["", "Welcome!", "queen-probe begin 1\nqueen-probe os Linux\n", "queen-probe end 1\n"]) {
    expect(() => parseProbe({ ...end, stdout }, "gpu1")).toThrow(QhError);
  }
});
