import { readdirSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Deadline } from "@queen-and-hive/daemon";
import { makeSshKey, startSshGround, until } from "@queen-and-hive/dev-env";
import { expect, it } from "vitest";
import { sshLimits } from "../../apps/queen/src/config/resolve-hive.ts";
import type { SshReach } from "../../apps/queen/src/config/ssh-reach.ts";
import { parseSshTarget } from "../../apps/queen/src/config/ssh-target.ts";
import { SshHost } from "../../apps/queen/src/hosts/ssh-host.ts";

const ROUNDS = 200;

it("leaks no connection, descriptor or listener in 200 rounds of good and bad ends", async () => {
  await using ground = await startSshGround({ hosts: [{}], hive: false });
  const [there] = ground.hosts;
  const target = there === undefined ? null : parseSshTarget(there.url);
  if (there === undefined || target === null) throw new Error("a ground has a host");
  const right: SshReach = {
    name: there.url,
    target,
    identityFile: ground.key.path,
    knownHosts: ground.knownHosts,
    agent: null,
    home: ground.folder,
    limits: sshLimits({}),
  };
  const stranger = makeSshKey(join(ground.folder, "stranger")).path;
  const unknown = join(ground.folder, "empty");
  writeFileSync(unknown, "");
  const warnings: string[] = [];
  const onWarning = (warning: Error): void => void warnings.push(warning.message);
  process.on("warning", onWarning);
  const kept = new SshHost(right);
  const run = (host: SshHost, ms = 30_000) => host.exec(["cat"], { deadline: Deadline.in(ms), input: "x" });
  const kindOf = (work: Promise<unknown>): Promise<unknown> =>
    work.then(
      () => "done",
      (error: unknown) => (error instanceof Error && "kind" in error ? error.kind : error),
    );
  await run(kept);
  const before = socketsOf();
  for (let round = 0; round < ROUNDS; round += 1) {
    const ends = [
      async () => expect(await kindOf(run(kept))).toBe("done"),
      async () => {
        await using host = new SshHost(right);
        expect(await kindOf(run(host))).toBe("done");
      },
      async () => {
        await using host = new SshHost({ ...right, identityFile: stranger });
        expect(await kindOf(run(host))).toBe("host_login_refused");
      },
      async () => {
        await using host = new SshHost({ ...right, knownHosts: unknown });
        expect(await kindOf(run(host))).toBe("host_key_refused");
      },
      async () => {
        await using host = new SshHost(right);
        await run(host);
        expect(await kindOf(host.exec(["sleep", "30"], { deadline: Deadline.in(20) }))).toBe("deadline_exceeded");
      },
      async () => {
        await using host = new SshHost(right);
        const nobody = host.forward({ host: "127.0.0.1", port: 1 }, { traffic: "tokens", deadline: Deadline.in(20_000) });
        expect(await kindOf(nobody)).toBe("peer_unreachable");
      },
      async () => {
        // A peer that is silent when we go: nobody says goodbye.
        await using host = new SshHost(right);
        await run(host);
        there.cutLink();
        await host[Symbol.asyncDispose]();
        there.mendLink();
      },
      async () => {
        await using host = new SshHost(right);
        await host.upload({ bytes: Buffer.from(String(round)) }, join(there.home, "file"), {
          mode: 0o600,
          deadline: Deadline.in(20_000),
        });
      },
    ];
    await ends[round % ends.length]?.();
  }
  await until(() => there.connections() === 1, 20_000, "the end of all connections but the kept one");
  await until(() => socketsOf() <= before, 20_000, "the end of our own sockets");
  await kept[Symbol.asyncDispose]();
  await until(() => there.connections() === 0, 20_000, "the end of the kept connection");
  expect(there.processes().filter(({ command }) => command !== "sleep 30")).toEqual([]);
  process.off("warning", onWarning);
  expect(warnings.filter((text) => text.includes("leak"))).toEqual([]);
}, 300_000);

function socketsOf(): number {
  return readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith("socket:");
    } catch {
      // It was the folder's own.
      return false;
    }
  }).length;
}
