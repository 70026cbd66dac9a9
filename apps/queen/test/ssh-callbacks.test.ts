import { createHash } from "node:crypto";
import { once } from "node:events";
import { chmodSync, chownSync, mkdirSync, rmSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { Deadline } from "@queen-and-hive/daemon";
import { firstOf, startSshGround } from "@queen-and-hive/dev-env";
import { expect, it } from "vitest";
import { openCallbackSocket } from "../src/hosts/callback-socket.ts";
import { SshHost } from "../src/hosts/ssh-host.ts";
import { reachOf } from "./ssh-reach.ts";

const soon = (): Deadline => Deadline.in(20_000);

it("a way back that the SSH server forbids is refused by its kind, and nothing piles up on the connection", async () => {
  await using ground = await startSshGround({ hive: false, hosts: [{ forwarding: "none" }] });
  await using host = new SshHost(reachOf(ground, firstOf(ground)));
  const connection = await host.connection(soon());
  const facts = await host.facts(soon());
  const place = { hiveId: "gpu1", stateDir: join(ground.folder, "s"), queenId: "queen-1", facts };
  const warnings: string[] = [];
  const onWarning = (warning: Error): void => void warnings.push(warning.message);
  process.on("warning", onWarning);
  try {
    for (let attempt = 0; attempt < 20; attempt += 1) {
      const opened = openCallbackSocket(connection, place, (socket) => socket.destroy(), soon(), connection.ended);
      await expect(opened).rejects.toMatchObject({
        kind: "forwarding_forbidden",
        message: expect.stringContaining("AllowStreamLocalForwarding"),
      });
    }
    // Warnings are said on the next turn.
    await new Promise((resolve) => setImmediate(resolve));
  } finally {
    process.off("warning", onWarning);
  }
  expect(warnings).toEqual([]);
}, 60_000);

it("the way back is in the state directory, or in a directory of /tmp that is ours alone where the path is too long", async () => {
  await using ground = await startSshGround({ hive: false, hosts: [{}] });
  await using host = new SshHost(reachOf(ground, firstOf(ground)));
  const connection = await host.connection(soon());
  const facts = await host.facts(soon());
  const queenId = "queen-1";
  const open = (stateDir: string) => {
    const place = { hiveId: "gpu1", stateDir, queenId, facts };
    return openCallbackSocket(connection, place, (socket) => socket.end("hello"), soon(), connection.ended);
  };
  const short = join(ground.folder, "s");
  const near = await open(short);
  expect(near).toMatch(new RegExp(`^unix:${short}/queen-[0-9a-f]{8}\\.sock$`));
  expect(statSync(near.slice("unix:".length)).mode & 0o777).toBe(0o600);
  const { connect } = await import("node:net");
  const [greeting] = await once(connect(near.slice("unix:".length)), "data");
  expect(String(greeting)).toBe("hello");

  const long = join(ground.folder, "x".repeat(100));
  const shared = `/tmp/hive-${facts.uid}-${createHash("sha256").update(long).digest("hex").slice(0, 8)}`;
  try {
    expect(await open(long)).toMatch(new RegExp(`^unix:${shared}/queen-`));
    expect(statSync(shared).mode & 0o777).toBe(0o700);
    // Somebody else was there before us, or left it open to others, or it leads elsewhere.
    chmodSync(shared, 0o755);
    await expect(open(long)).rejects.toMatchObject({ kind: "host_unreachable", message: expect.stringContaining(shared) });
    rmSync(shared, { recursive: true });
    symlinkSync(ground.folder, shared);
    await expect(open(long)).rejects.toMatchObject({ kind: "host_unreachable" });
    rmSync(shared);
    if (facts.uid === 0) {
      mkdirSync(shared, { mode: 0o700 });
      chownSync(shared, 65_534, 65_534);
      await expect(open(long)).rejects.toMatchObject({ kind: "host_unreachable" });
    }
  } finally {
    rmSync(shared, { recursive: true, force: true });
  }
}, 60_000);
