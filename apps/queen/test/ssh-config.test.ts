import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Deadline, isProcessAlive, readProcessIdentity } from "@queen-and-hive/daemon";
import { firstOf, makeSshKey, runCommand, type SshGround, startSshGround, testEnvironment, until } from "@queen-and-hive/dev-env";
import { describe, expect, it } from "vitest";
import type { SshReach } from "../src/config/ssh-reach.ts";
import { parseSshTarget } from "../src/config/ssh-target.ts";
import { SshHost } from "../src/hosts/ssh-host.ts";
import { LIMITS, reachOf } from "./ssh-reach.ts";

const soon = (): Deadline => Deadline.in(60_000);

/** What `ssh alias` would do in a home directory with this configuration; the queen's own says nothing. */
function reachByAlias(ground: SshGround, alias: string, config: string): SshReach {
  const target = parseSshTarget(alias);
  if (target === null) throw new Error(`${alias} is an alias`);
  mkdirSync(join(ground.folder, ".ssh"), { recursive: true });
  writeFileSync(join(ground.folder, ".ssh", "config"), config, { mode: 0o600 });
  return { name: alias, target, identityFile: null, knownHosts: null, agent: null, home: ground.folder, limits: LIMITS };
}

describe("a host that is named as for ssh", () => {
  it("is an alias with address, user, port, key and known_hosts of ~/.ssh/config", async () => {
    await using ground = await startSshGround({ hive: false, hosts: [{}] });
    const there = firstOf(ground);
    const config = `Host gpu-*
  HostName ${there.address}
  Port ${there.port}
  User ${there.user}
  IdentityFile ${ground.key.path}
  UserKnownHostsFile ${ground.knownHosts}
`;
    await using host = new SshHost(reachByAlias(ground, "gpu-one", config));
    expect((await host.facts(soon())).home).toBe(there.home);
    await using other = new SshHost(reachByAlias(ground, "nobody-has-this.invalid", config));
    await expect(other.facts(soon())).rejects.toMatchObject({
      kind: expect.stringMatching(/host_unreachable|host_login_refused/),
    });
  }, 60_000);

  it("keeps its host key under another name where HostKeyAlias says so", async () => {
    await using ground = await startSshGround({ hive: false, hosts: [{}] });
    const there = firstOf(ground);
    const known = join(ground.folder, "known_by_name");
    writeFileSync(known, `the-machine ${there.hostKey.publicKey}\n`);
    const config = `Host gpu1
  HostName ${there.address}
  Port ${there.port}
  User ${there.user}
  HostKeyAlias the-machine
`;
    const reach = { ...reachByAlias(ground, "gpu1", config), identityFile: ground.key.path, knownHosts: known };
    await using host = new SshHost(reach);
    expect((await host.exec(["true"], { deadline: soon() })).exitCode).toBe(0);
  });

  it("is reached over another one by ProxyJump, and by a ProxyCommand", async () => {
    await using ground = await startSshGround({ hive: false });
    const [jump, behind] = ground.hosts;
    if (jump === undefined || behind === undefined) throw new Error("a ground of two hosts has them");
    const config = `Host *
  IdentityFile ${ground.key.path}
  UserKnownHostsFile ${ground.knownHosts}
  User ${jump.user}
Host jump
  HostName ${jump.address}
  Port ${jump.port}
Host behind
  HostName ${behind.address}
  Port ${behind.port}
  ProxyJump jump
Host commanded
  HostName ${behind.address}
  Port ${behind.port}
  ProxyCommand ssh -F ${ground.folder}/.ssh/config -o BatchMode=yes -W %h:%p jump
`;
    for (const alias of ["behind", "commanded"]) {
      await using host = new SshHost(reachByAlias(ground, alias, config));
      expect((await host.facts(soon())).home).toBe(behind.home);
      expect(jump.connections()).toBe(1);
    }
    await using host = new SshHost(
      reachByAlias(
        ground,
        "behind",
        config.replace(/HostName .*\n {2}Port .*\nHost behind/, "HostName 127.0.0.1\n  Port 1\nHost behind"),
      ),
    );
    await expect(host.facts(soon())).rejects.toMatchObject({ kind: "host_unreachable" });
  }, 60_000);

  it("ends a ProxyCommand with its connection that cares for neither the end of its input nor TERM", async () => {
    await using ground = await startSshGround({ hive: false, hosts: [{}] });
    const there = firstOf(ground);
    const command = join(ground.folder, "proxy");
    const stays = join(ground.folder, "stays");
    const pass = `ssh -F none -i ${ground.key.path} -o UserKnownHostsFile=${ground.knownHosts} -W "$1:$2" ${there.url}`;
    writeFileSync(command, `#!/bin/sh\ntrap '' TERM\necho $$ >${stays}\n${pass}\nexec tail -f /dev/null\n`, { mode: 0o755 });
    const config = `Host stubborn
  HostName ${there.address}
  Port ${there.port}
  User ${there.user}
  IdentityFile ${ground.key.path}
  UserKnownHostsFile ${ground.knownHosts}
  ProxyCommand ${command} %h %p
`;
    const host = new SshHost(reachByAlias(ground, "stubborn", config));
    expect((await host.facts(soon())).home).toBe(there.home);
    expect(existsSync(stays)).toBe(true);
    const proxy = readProcessIdentity(Number(readFileSync(stays, "utf8")));
    if (proxy === null) throw new Error("a proxy runs as long as its connection");
    await host[Symbol.asyncDispose]();
    await until(() => !isProcessAlive(proxy), 20_000, "the end of the proxy");
  }, 60_000);

  it("is offered the agent's key that an identity file names first, and alone where IdentitiesOnly says so", async () => {
    await using ground = await startSshGround({ hive: false, hosts: [{}] });
    const there = firstOf(ground);
    const socket = join(ground.folder, "agent.sock");
    const agent = spawn("ssh-agent", ["-D", "-a", socket], { stdio: ["ignore", "pipe", "inherit"] });
    try {
      await once(agent.stdout, "data");
      const surroundings = { env: testEnvironment(ground.folder, { SSH_AUTH_SOCK: socket }), cwd: ground.folder };
      const others = Array.from({ length: 6 }, (_, index) => makeSshKey(join(ground.folder, `other${index}`)).path);
      const added = await runCommand(["ssh-add", ...others, ground.key.path], surroundings);
      expect(added.exitCode, added.stderr).toBe(0);
      // The private half alone, and locked: which key it is still stands in it.
      const locked = join(ground.folder, "locked");
      copyFileSync(ground.key.path, locked);
      await runCommand(["ssh-keygen", "-p", "-P", "", "-N", "a phrase", "-f", locked], surroundings);
      const config = (more: string): string => `Host gpu1
  HostName ${there.address}
  Port ${there.port}
  User ${there.user}
  UserKnownHostsFile ${ground.knownHosts}
  ${more}
`;
      const login = async (more: string): Promise<string> => {
        await using host = new SshHost({ ...reachByAlias(ground, "gpu1", config(more)), agent: socket });
        return (await host.facts(soon())).home;
      };
      expect(await login(`IdentityFile ${locked}`)).toBe(there.home);
      expect(await login(`IdentityFile ${locked}\n  IdentitiesOnly yes`)).toBe(there.home);
      rmSync(locked);
      copyFileSync(`${ground.key.path}.pub`, `${locked}.pub`);
      expect(await login(`IdentityFile ${locked}\n  IdentitiesOnly yes`)).toBe(there.home);
      const wrong = login(`IdentityFile ${others[0]}\n  IdentitiesOnly yes`);
      await expect(wrong).rejects.toMatchObject({
        kind: "host_login_refused",
        message: expect.stringContaining("IdentitiesOnly"),
      });
    } finally {
      agent.kill();
    }
  }, 60_000);

  it("is logged in to with the agent's key, and a key with a passphrase is left to the agent", async () => {
    await using ground = await startSshGround({ hive: false, hosts: [{}] });
    const there = firstOf(ground);
    const socket = join(ground.folder, "agent.sock");
    const agent = spawn("ssh-agent", ["-D", "-a", socket], { stdio: ["ignore", "pipe", "inherit"] });
    try {
      await once(agent.stdout, "data");
      const surroundings = { env: testEnvironment(ground.folder, { SSH_AUTH_SOCK: socket }), cwd: ground.folder };
      const added = await runCommand(["ssh-add", ground.key.path], surroundings);
      expect(added.exitCode, added.stderr).toBe(0);
      const locked = makeSshKey(join(ground.folder, "locked"));
      await runCommand(["ssh-keygen", "-p", "-P", "", "-N", "a phrase", "-f", locked.path], surroundings);
      expect(readFileSync(locked.path, "utf8")).toContain("OPENSSH PRIVATE KEY");
      const reach = reachOf(ground, there, { identityFile: locked.path });
      await using without = new SshHost(reach);
      await expect(without.facts(soon())).rejects.toMatchObject({ kind: "host_login_refused" });
      await using host = new SshHost({ ...reach, agent: socket });
      expect((await host.facts(soon())).home).toBe(there.home);
    } finally {
      agent.kill();
    }
  }, 60_000);
});
