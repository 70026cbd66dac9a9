import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, readlink, rm, writeFile } from "node:fs/promises";
import { readProcessIdentity, signalProcess } from "@queen-and-hive/daemon";
import {
  fakeModel,
  programCommand,
  startTestQueen,
  type TemporaryDirectory,
  type TestQueen,
  temporaryDirectory,
  until,
} from "@queen-and-hive/dev-env";
import { COMMAND_EXIT, QUEEN_ENDPOINTS } from "@queen-and-hive/protocol";
import { describe, expect, it } from "vitest";

const FILE = `hive-linux-${process.arch}`;

/** An executable that runs this checkout's hive, after some words of the test's own. Returns its SHA-256. */
async function build(directory: TemporaryDirectory, words: string): Promise<string> {
  const [node = "", main = ""] = programCommand("hive");
  const script = `#!/bin/sh\n${words}\nexec '${node}' '${main}' "$@"\n`;
  await mkdir(directory.join("dist"), { recursive: true });
  await writeFile(directory.join("dist", FILE), script, { mode: 0o755 });
  return createHash("sha256").update(script).digest("hex");
}

async function queenOn(directory: TemporaryDirectory): Promise<TestQueen> {
  return await startTestQueen({
    start: false,
    config: {
      defaults: { hive: { install_dir: directory.join("install") } },
      install: { from: directory.join("dist") },
      models: [fakeModel("fake")],
    },
  });
}

async function current(directory: TemporaryDirectory): Promise<string> {
  return await readlink(directory.join("install", "current"));
}

describe("a hive whose program has to come to its host", () => {
  it("is installed by its first start, after a plan that changes nothing", async () => {
    await using directory = await temporaryDirectory("qh-dist");
    await using queen = await queenOn(directory);
    const sha256 = await build(directory, ":");
    const plan = await queen.command(["hive", "install", "--dry-run"]);
    expect(plan).toMatchObject({ exitCode: COMMAND_EXIT.done });
    expect(plan.stdout).toContain("nothing is installed");
    expect(plan.stdout).toContain(`try version ${sha256.slice(0, 12)}`);
    expect(await readdir(directory.path)).toEqual(["dist"]);
    await queen.start();
    await queen.hivesRunning();
    expect(await current(directory)).toBe(`versions/${sha256}`);
    const again = await queen.command(["hive", "install", "--json"]);
    expect(again.json).toMatchObject({ hives: [{ hive_id: "local", steps: [], found: expect.stringContaining("in place") }] });
  }, 120_000);

  it("goes back to the version from before when the new one's hand-shake fails, and says so", async () => {
    await using directory = await temporaryDirectory("qh-dist");
    await using queen = await queenOn(directory);
    const first = await build(directory, ":");
    await queen.start();
    await queen.hivesRunning();
    expect((await queen.command(["hive", "stop", "local"])).exitCode).toBe(COMMAND_EXIT.done);
    const second = await build(directory, '[ "$1" = start ] && { echo "a bug" >&2; exit 1; }');
    const started = await queen.command(["hive", "start", "local", "--json"]);
    expect(started).toMatchObject({ exitCode: COMMAND_EXIT.done, json: { hives: [{ state: "running" }] } });
    expect(await current(directory)).toBe(`versions/${first}`);
    expect((await readdir(directory.join("install", "versions"))).sort()).toEqual([first, second].sort());
    expect(queen.program.output()).toContain(second.slice(0, 12));
  }, 120_000);

  it("goes back also when the queen is killed in mid-start of the new version, and another one comes", async () => {
    await using directory = await temporaryDirectory("qh-dist");
    await using queen = await queenOn(directory);
    const first = await build(directory, ":");
    await queen.start();
    await queen.hivesRunning();
    await queen.command(["hive", "stop", "local"]);
    const pidFile = directory.join("starting");
    // Its first start takes for ever, its later ones fail.
    const starting = `[ -e '${pidFile}' ] && exit 1; echo $$ >'${pidFile}.new'; mv '${pidFile}.new' '${pidFile}'; exec sleep 600`;
    const second = await build(directory, `[ "$1" = start ] && { ${starting}; }`);
    const abandoned = queen.command(["hive", "start", "local"]);
    await until(() => existsSync(pidFile), 60_000, "the start of the new version");
    const sleeper = readProcessIdentity(Number(await readFile(pidFile, "utf8")));
    await queen.stop("SIGKILL");
    await abandoned;
    if (sleeper !== null) signalProcess(sleeper, "SIGKILL");
    expect(await current(directory)).toBe(`versions/${second}`);
    await queen.start();
    await queen.command(["hive", "start", "local"]);
    await queen.hivesRunning();
    expect(await current(directory)).toBe(`versions/${first}`);
  }, 120_000);

  it("is upgraded by a restart, with its workers kept, while one that runs is left as it is", async () => {
    await using directory = await temporaryDirectory("qh-dist");
    await using queen = await queenOn(directory);
    const first = await build(directory, ":");
    await queen.start();
    await queen.hivesRunning();
    const second = await build(directory, ": new");
    const early = await queen.command(["hive", "install", "--dry-run"]);
    expect(early.stdout).toContain("comes before its next start");
    expect(await current(directory)).toBe(`versions/${first}`);
    await queen.command(["hive", "stop", "local", "--keep-workers"]);
    await queen.command(["hive", "start", "local"]);
    await queen.hivesRunning();
    expect(await current(directory)).toBe(`versions/${second}`);
  }, 120_000);

  it("comes again to a machine that was set up anew, though an earlier queen has found it in place", async () => {
    await using directory = await temporaryDirectory("qh-dist");
    await using queen = await queenOn(directory);
    const sha256 = await build(directory, ":");
    await queen.start();
    await queen.hivesRunning();
    await queen.stop();
    await rm(directory.join("install"), { recursive: true });
    await queen.start();
    await queen.hivesRunning();
    expect(await current(directory)).toBe(`versions/${sha256}`);
  }, 120_000);

  it("says how to build what is not there, and starts once it is", async () => {
    await using directory = await temporaryDirectory("qh-dist");
    await using queen = await queenOn(directory);
    await queen.start();
    const refused = await queen.command(["hive", "start", "local", "--json"]);
    expect(refused.exitCode).toBe(COMMAND_EXIT.failed);
    const { last_error: error } = await queen.peer.call(QUEEN_ENDPOINTS.getHive, { params: { hive_id: "local" } });
    expect(error).toContain("npm run build:hive");
    await build(directory, ":");
    await queen.hivesRunning();
  }, 120_000);
});
