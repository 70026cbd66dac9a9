import { createHash, randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  fakeModel,
  firstOf,
  hiveOn,
  programCommand,
  type SshTestHost,
  startSshGround,
  startTestQueen,
  type TestQueen,
  until,
} from "@queen-and-hive/dev-env";
import { COMMAND_EXIT, type HiveRecord, QUEEN_ENDPOINTS } from "@queen-and-hive/protocol";
import { describe, expect, it } from "vitest";
import { ask, chat } from "../cluster/ask.ts";

/** Nothing that a host does may take longer to be noticed, milliseconds. */
const NOTICED_WITHIN_MS = 20_000;

/** An executable that runs this checkout's hive, so large as to be some time on its way. Returns its SHA-256. */
function build(folder: string, paddingBytes = 0): string {
  const words = programCommand("hive").map((word) => `'${word}'`);
  const script = Buffer.concat([Buffer.from(`#!/bin/sh\nexec ${words.join(" ")} "$@"\n`), randomBytes(paddingBytes)]);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `hive-linux-${process.arch}`), script, { mode: 0o755 });
  return createHash("sha256").update(script).digest("hex");
}

function installed(host: SshTestHost, ...parts: readonly string[]): string {
  return join(host.home, ".local/share/hive", ...parts);
}

async function hiveOf(queen: TestQueen, id: string): Promise<HiveRecord> {
  return await queen.peer.call(QUEEN_ENDPOINTS.getHive, { params: { hive_id: id } });
}

describe("the hive on a host where nothing is installed", () => {
  it("comes over SSH, past a banner and with one session at a time, on two hosts at once, and serves", async () => {
    await using ground = await startSshGround({
      hosts: [{ loginNoise: "Welcome to the jungle" }, { maxSessions: 1 }],
      hive: false,
    });
    const dist = join(ground.folder, "dist");
    const sha256 = build(dist, 1_000_000);
    const hives = await Promise.all(ground.hosts.map((host, index) => hiveOn(ground, host, `gpu${index + 1}`)));
    await using queen = await startTestQueen({
      start: false,
      config: { hives, install: { from: dist }, models: [fakeModel("far")] },
    });

    const doctor = await queen.command(["doctor", "--json"]);
    expect(doctor.stdout.match(/\{[^{}]*"level":"fail"[^{}]*\}/g)).toBeNull();
    expect(doctor.exitCode).toBe(COMMAND_EXIT.done);
    expect(doctor.stdout).toContain("not installed yet");
    await queen.start();
    await queen.hivesRunning(["gpu1", "gpu2"], 60_000);
    for (const host of ground.hosts) {
      expect(readlinkSync(installed(host, "current"))).toBe(`versions/${sha256}`);
      // Proven once its hive runs: what marked it as a trial goes then.
      const isProven = (): boolean => readdirSync(installed(host, "versions", sha256)).join() === "hive";
      await until(isProven, NOTICED_WITHIN_MS, "the new version to be proven");
    }
    expect((await ask(queen.url, { body: chat("far") })).status).toBe(200);
    const logs = await queen.command(["hive", "logs", "gpu2", "--tail", "3"]);
    expect(logs.stdout).toContain("hive");
    const again = await queen.command(["hive", "install", "--json"]);
    expect(again.json).toMatchObject({ hives: [{ steps: [] }, { steps: [] }] });

    // Both machines are set up anew: the banner of one does not hide that its program is gone.
    expect((await queen.stop()).code).toBe(0);
    for (const host of ground.hosts) rmSync(installed(host), { recursive: true });
    await queen.start();
    await queen.hivesRunning(["gpu1", "gpu2"], 60_000);
  }, 120_000);

  it("is not half there after its link was cut in mid-upload, and comes whole once it is mended", async () => {
    await using ground = await startSshGround({ hosts: [{}], hive: false });
    const there = firstOf(ground);
    const dist = join(ground.folder, "dist");
    const sha256 = build(dist, 120_000_000);
    const config = { hives: [await hiveOn(ground, there, "gpu1")], install: { from: dist } };
    await using queen = await startTestQueen({ config });
    await until(async () => (await hiveOf(queen, "gpu1")).progress?.startsWith("uploading") === true, 30_000, "the upload");
    there.cutLink();
    const cutMs = Date.now();
    await until(async () => (await hiveOf(queen, "gpu1")).last_error !== undefined, 60_000, "the loss to be noticed");
    expect(Date.now() - cutMs).toBeLessThan(NOTICED_WITHIN_MS);
    expect(existsSync(installed(there, "versions", sha256, "hive"))).toBe(false);
    expect(existsSync(installed(there, "current"))).toBe(false);
    there.mendLink();
    await queen.hivesRunning(["gpu1"], 60_000);
    expect(readlinkSync(installed(there, "current"))).toBe(`versions/${sha256}`);
  }, 180_000);

  it("is refused by a place without room before anything is sent", async () => {
    await using ground = await startSshGround({ hosts: [{}], hive: false });
    const dist = join(ground.folder, "dist");
    build(dist);
    // Not even root has room in /proc.
    const hives = [await hiveOn(ground, firstOf(ground), "gpu1", { install_dir: "/proc/queen-and-hive" })];
    await using queen = await startTestQueen({ start: false, config: { hives, install: { from: dist } } });
    const refused = await queen.command(["hive", "install", "--json"]);
    expect(refused.exitCode).toBe(COMMAND_EXIT.failed);
    expect(refused.json).toMatchObject({ hives: [{ error: expect.stringMatching(/are needed at .*, 0B are free/) }] });
  }, 60_000);
});
