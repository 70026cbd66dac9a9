import { chmodSync, readFileSync, statSync, writeFileSync } from "node:fs";
import {
  firstOf,
  freePort,
  makeSshKey,
  programCommand,
  runCommand,
  type SshGround,
  startSshGround,
  startTestQueen,
  type TestQueen,
  testEnvironment,
} from "@queen-and-hive/dev-env";
import { COMMAND_EXIT, QUEEN_ENDPOINTS } from "@queen-and-hive/protocol";
import { describe, expect, it } from "vitest";

/** The words that add the ground's first host as gpu1. */
async function addWords(ground: SshGround, ...more: readonly string[]): Promise<readonly string[]> {
  const there = firstOf(ground);
  const port = there.kind === "in_process" ? await freePort() : 9_200;
  const login = ["--identity-file", ground.key.path, "--known-hosts", ground.knownHosts];
  return ["hive", "add", "gpu1", there.url, ...login, "--listen", `127.0.0.1:${port}`, ...more];
}

/** Adds a comment that no command may lose, and returns the file's text. */
function commented(queen: TestQueen): string {
  const text = `# Written by a person.\n${readFileSync(queen.configFile, "utf8")}`;
  writeFileSync(queen.configFile, text);
  chmodSync(queen.configFile, 0o640);
  return text;
}

describe("queen hive add and rm", () => {
  it("asks for an unknown key, adds the hive to the file and to the running queen, and takes it out again", async () => {
    await using ground = await startSshGround({ hosts: [{}] });
    await using queen = await startTestQueen();
    const before = commented(queen);
    writeFileSync(ground.knownHosts, "");
    const words = await addWords(ground, "--json");

    const refused = await queen.command(words);
    expect(refused).toMatchObject({
      exitCode: COMMAND_EXIT.failed,
      json: { error: { code: "host_key_refused", details: { reason: "unknown" } } },
    });
    const other = await queen.command([...words, "--host-key", "SHA256:0000000000000000000000000000000000000000000"]);
    expect(other.json).toMatchObject({ error: { code: "host_key_refused" } });
    expect(readFileSync(ground.knownHosts, "utf8")).toBe("");
    expect(readFileSync(queen.configFile, "utf8")).toBe(before);

    const added = await queen.command([...words, "--host-key", fingerprintIn(refused.stdout)]);
    expect(added).toMatchObject({ exitCode: COMMAND_EXIT.done, json: { hive_id: "gpu1", hive: { state: "running" } } });
    expect(readFileSync(ground.knownHosts, "utf8")).toContain(firstOf(ground).hostKey.publicKey.split(" ")[1]);
    const after = readFileSync(queen.configFile, "utf8");
    expect(after.startsWith(before)).toBe(false);
    expect(after).toContain("# Written by a person.");
    expect(statSync(queen.configFile).mode & 0o777).toBe(0o640);
    expect(firstOf(ground).processes().length).toBeGreaterThan(0);

    const twice = await queen.command(words);
    expect(twice).toMatchObject({ exitCode: COMMAND_EXIT.badConfiguration, json: { error: { code: "invalid_config" } } });
    const removed = await queen.command(["hive", "rm", "gpu1", "--json"]);
    expect(removed).toMatchObject({
      exitCode: COMMAND_EXIT.done,
      json: { hives: [{ hive_id: "gpu1", fate: { fate: "stopped" } }] },
    });
    expect(readFileSync(queen.configFile, "utf8")).toBe(before);
    expect(firstOf(ground).processes()).toEqual([]);
    const { hives } = await queen.peer.call(QUEEN_ENDPOINTS.listHives);
    expect(hives.map((hive) => hive.hive_id)).toEqual(["local"]);
  }, 120_000);

  it("asks a person at a terminal once, and writes nothing when he says no", async () => {
    await using ground = await startSshGround({ hosts: [{}] });
    await using queen = await startTestQueen({ start: false });
    writeFileSync(ground.knownHosts, "ssh-ed25519 of-another-host without-an-end");
    const before = readFileSync(queen.configFile, "utf8");
    const no = await atTerminal(queen, await addWords(ground), "n\n");
    expect(no.stdout).toMatch(/ssh-ed25519 SHA256:/);
    expect(no.exitCode).toBe(COMMAND_EXIT.failed);
    expect(readFileSync(queen.configFile, "utf8")).toBe(before);
    const yes = await atTerminal(queen, await addWords(ground), "y\n");
    expect(yes.stdout).toContain('"queen serve" will start it');
    expect(yes.exitCode).toBe(COMMAND_EXIT.done);
    expect(readFileSync(ground.knownHosts, "utf8").split("\n")).toHaveLength(3);
    await queen.start();
    await queen.hivesRunning(["local", "gpu1"]);
  }, 120_000);

  it("never asks about a changed key, and names both fingerprints", async () => {
    await using ground = await startSshGround({ hosts: [{}] });
    await using queen = await startTestQueen({ start: false });
    const there = firstOf(ground);
    await there.stopServer();
    await there.startServer({ hostKey: makeSshKey(`${ground.folder}/other`) });
    const refused = await atTerminal(queen, await addWords(ground), "y\n");
    expect(refused.exitCode).toBe(COMMAND_EXIT.failed);
    expect(refused.stdout).toMatch(/CHANGED.*SHA256:.*SHA256:/s);
    expect(refused.stdout).not.toContain("[y/N]");
  }, 60_000);

  it("removes a hive whose host is gone only when it is told to", async () => {
    await using ground = await startSshGround({ hosts: [{}] });
    await using queen = await startTestQueen();
    const there = firstOf(ground);
    expect((await queen.command(await addWords(ground))).exitCode).toBe(COMMAND_EXIT.done);
    await there.stopServer();
    const kept = await queen.command(["hive", "rm", "gpu1", "--json"]);
    expect(kept).toMatchObject({ exitCode: COMMAND_EXIT.failed, json: { error: { code: "stop_failed" } } });
    expect(kept.stdout).toContain("--force");
    expect(readFileSync(queen.configFile, "utf8")).toContain("gpu1");
    const forced = await queen.command(["hive", "rm", "gpu1", "--force", "--json"]);
    expect(forced).toMatchObject({ exitCode: COMMAND_EXIT.done, json: { hives: [{ fate: { fate: "unreachable" } }] } });
    expect(readFileSync(queen.configFile, "utf8")).not.toContain("gpu1");
    const { hives } = await queen.peer.call(QUEEN_ENDPOINTS.listHives);
    expect(hives.map((hive) => hive.hive_id)).toEqual(["local"]);
    await there.startServer();
    await there.command([
      "sh",
      "-c",
      '"$HOME"/.local/share/hive/current/hive stop --json --state-dir "$HOME"/.local/state/hive/*-gpu1',
    ]);
  }, 120_000);

  it("adds nothing whose host is not fit, unless it is told not to look", async () => {
    await using ground = await startSshGround({ hosts: [{}] });
    await using queen = await startTestQueen({ start: false });
    const there = firstOf(ground);
    writeFileSync(`${there.home}/a-file`, "");
    const words = await addWords(ground, "--state-dir", "~/a-file/state", "--json");
    const refused = await queen.command(words);
    expect(refused).toMatchObject({ exitCode: COMMAND_EXIT.failed, json: { error: { code: "preflight_failed" } } });
    expect(refused.stdout).toContain("is no directory");
    expect(readFileSync(queen.configFile, "utf8")).not.toContain("gpu1");
    expect((await queen.command([...words, "--no-check"])).exitCode).toBe(COMMAND_EXIT.done);
    expect(readFileSync(queen.configFile, "utf8")).toContain("gpu1");
  }, 60_000);
});

function fingerprintIn(text: string): string {
  return /SHA256:[A-Za-z0-9+/]{43}/.exec(text)?.[0] ?? "";
}

/** Runs a command on a terminal of its own (script(1) of util-linux), with a person's answer typed in. */
async function atTerminal(queen: TestQueen, words: readonly string[], typed: string) {
  const argv = [...programCommand("queen"), ...words, "--config", queen.configFile];
  const line = argv.map((word) => `'${word}'`).join(" ");
  const env = { ...testEnvironment(queen.folder), SHELL: "/bin/sh" };
  return await runCommand(["script", "-qec", line, "/dev/null"], { env, cwd: queen.folder, input: typed });
}
