import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { until } from "../clock/until.ts";
import { type CommandResult, runCommand } from "../processes/run-command.ts";
import { testEnvironment } from "../processes/surroundings.ts";
import { type SshGround, startSshGround } from "./ground.ts";
import { tryTool } from "./run-tool.ts";
import type { SshTestHost } from "./ssh-test-host.ts";

function sshWords(ground: SshGround, host: SshTestHost, command: string): string[] {
  const options = [
    "-F",
    "none",
    "-o",
    "BatchMode=yes",
    "-o",
    "IdentitiesOnly=yes",
    "-o",
    `UserKnownHostsFile=${ground.knownHosts}`,
  ];
  return ["ssh", ...options, "-o", "StrictHostKeyChecking=yes", "-i", ground.key.path, host.url, command];
}

function ssh(ground: SshGround, host: SshTestHost, command: string): Promise<CommandResult> {
  return runCommand(sshWords(ground, host, command), { env: testEnvironment(ground.folder), cwd: ground.folder });
}

describe.each([undefined, "in_process"] as const)("a ground of SSH hosts (%s)", (kind) => {
  const options = { hive: false, ...(kind === undefined ? {} : { kind }) };

  it("lets OpenSSH's client in with the ground's key, each host with a home of its own", async () => {
    await using ground = await startSshGround(options);
    const answers = await Promise.all(ground.hosts.map((host) => ssh(ground, host, "echo $HOME; cat; exit 7")));
    expect(answers.map(({ stdout, exitCode }) => [stdout.trim(), exitCode])).toEqual(ground.hosts.map(({ home }) => [home, 7]));
    expect(new Set(ground.hosts.map(({ home }) => home)).size).toBe(2);
  });

  it("loses packets in silence while the link is cut, and nothing that was on its way", async () => {
    await using ground = await startSshGround({ ...options, hosts: [{}] });
    const [host] = ground.hosts;
    if (host === undefined) throw new Error("a ground of one host has one");
    const [file = "", ...args] = sshWords(ground, host, "echo begun; read line; echo got $line");
    const child = spawn(file, args, { env: testEnvironment(ground.folder), stdio: ["pipe", "pipe", "inherit"] });
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
    await until(() => output.includes("begun"));
    host.cutLink();
    child.stdin.end("it\n");
    expect(await Promise.race([once(child, "close"), new Promise((resolve) => setTimeout(resolve, 300, "silence"))])).toBe(
      "silence",
    );
    host.mendLink();
    await once(child, "close");
    expect(output).toContain("got it");
  });

  it("counts and drops connections", async () => {
    await using ground = await startSshGround({ ...options, hosts: [{}] });
    const [host] = ground.hosts;
    if (host === undefined) throw new Error("a ground of one host has one");
    const running = ssh(ground, host, "touch $HOME/begun; sleep 60");
    await until(() => existsSync(join(host.home, "begun")));
    expect(host.connections()).toBe(1);
    host.dropConnections();
    expect((await running).exitCode).toBe(255);
    await until(() => host.connections() === 0);
  });
});

describe("a ground of SSH hosts, afterwards", () => {
  it("has left no folder, no namespace and no interface", async () => {
    const own = (): number =>
      (tryTool(["ip", "netns", "list"]) ?? "").split("\n").filter((line) => line.startsWith(`qh-${process.pid}-`)).length;
    const before = own();
    const ground = await startSshGround({ hive: false });
    const addresses = ground.hosts.map(({ address }) => address);
    await ground[Symbol.asyncDispose]();
    expect(existsSync(ground.folder)).toBe(false);
    expect(own()).toBe(before);
    const routes = tryTool(["ip", "route"]) ?? "";
    for (const address of addresses) expect(routes).not.toContain(address.replace(/\.[0-9]+$/, "."));
  });
});
