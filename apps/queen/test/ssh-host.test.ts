import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { Deadline } from "@queen-and-hive/daemon";
import { firstOf, makeSshKey, startSshGround, until } from "@queen-and-hive/dev-env";
import { describe, expect, it } from "vitest";
import { SshHost } from "../src/hosts/ssh-host.ts";
import { reachOf } from "./ssh-reach.ts";

const soon = (): Deadline => Deadline.in(20_000);

describe.each([undefined, "in_process"] as const)("a host over SSH (%s)", (kind) => {
  const one = { hive: false, hosts: [{}], ...(kind === undefined ? {} : { kind }) };

  it("runs commands: input, both outputs, exit code, and words that a shell would take apart", async () => {
    await using ground = await startSshGround(one);
    await using host = new SshHost(reachOf(ground, firstOf(ground)));
    const end = await host.exec(["sh", "-c", 'cat; printf "%s" "$1"; echo no >&2; exit 3', "x", "it's $(id) \\ \n"], {
      deadline: soon(),
      input: "yes ",
    });
    expect(end).toEqual({ stdout: "yes it's $(id) \\ \n", stderr: "no\n", exitCode: 3 });
    expect((await host.exec(["/nowhere/hive"], { deadline: soon() })).exitCode).toBe(127);
    // A login shell that does not step aside for the command has an exit code for the signal.
    expect([null, 137]).toContain((await host.exec(["sh", "-c", "kill -9 $$"], { deadline: soon() })).exitCode);
  });

  it("knows its home and user, and asks once", async () => {
    await using ground = await startSshGround(one);
    const there = firstOf(ground);
    await using host = new SshHost(reachOf(ground, there));
    const facts = await host.facts(soon());
    expect(facts).toMatchObject({ home: there.home, uid: process.getuid?.() });
    expect(facts.machineId).not.toBe("");
    expect(await host.facts(soon())).toBe(facts);
    expect(there.connections()).toBe(1);
  });

  it("uploads in one step, checked, on a connection of its own that ends with it", async () => {
    await using ground = await startSshGround(one);
    const there = firstOf(ground);
    await using host = new SshHost(reachOf(ground, there));
    const bytes = randomBytes(3_000_000);
    writeFileSync(join(ground.folder, "source"), bytes);
    const target = join(there.home, "versions", "abc", "hive");
    const seen: number[] = [];
    await host.upload({ file: join(ground.folder, "source") }, target, {
      mode: 0o755,
      deadline: soon(),
      onProgress: (sent) => seen.push(sent),
    });
    expect(readFileSync(target).equals(bytes)).toBe(true);
    expect(statSync(target).mode & 0o777).toBe(0o755);
    expect(readdirSync(join(there.home, "versions", "abc"))).toEqual(["hive"]);
    expect(seen.at(-1)).toBe(bytes.length);
    await until(() => there.connections() === 0);
  });

  it("forwards connections that work as sockets, for calls and for tokens, each kind on a connection of its own", async () => {
    await using ground = await startSshGround(one);
    const there = firstOf(ground);
    await using host = new SshHost(reachOf(ground, there));
    // A server of this process cannot listen inside the host's network: the host's gateway is what it reaches us by.
    const server = createServer((request, response) => response.end(`${request.method} ${request.url}`)).listen(0, there.gateway);
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    for (const traffic of ["control", "tokens"] as const) {
      const socket = await host.forward({ host: there.gateway, port }, { traffic, deadline: soon() });
      socket.write("GET /it HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
      let text = "";
      for await (const chunk of socket.setEncoding("utf8")) text += String(chunk);
      expect(text).toContain("GET /it");
    }
    expect(there.connections()).toBe(2);
    server.close();
    const nobody = host.forward({ host: "127.0.0.1", port: 1 }, { traffic: "control", deadline: soon() });
    await expect(nobody).rejects.toMatchObject({ kind: "peer_unreachable" });
  });

  it("says on a forwarded connection that it is idle, as sockets do", async () => {
    await using ground = await startSshGround(one);
    const there = firstOf(ground);
    await using host = new SshHost(reachOf(ground, there));
    const socket = await host
      .forward({ host: "127.0.0.1", port: there.port }, { traffic: "control", deadline: soon() })
      .catch(() => host.forward({ host: there.address, port: there.port }, { traffic: "control", deadline: soon() }));
    await once(socket, "data");
    socket.setTimeout(50);
    await once(socket, "timeout");
    socket.destroy();
  });

  it("runs more commands at the same time than the server allows sessions", async () => {
    await using ground = await startSshGround({ ...one, hosts: [{ maxSessions: 1 }] });
    await using host = new SshHost(reachOf(ground, firstOf(ground)));
    const ends = await Promise.all(
      Array.from({ length: 12 }, (_, index) => host.exec(["echo", String(index)], { deadline: soon() })),
    );
    expect(ends.map(({ stdout }) => stdout.trim())).toEqual(Array.from({ length: 12 }, (_, index) => String(index)));
    expect(firstOf(ground).connections()).toBe(1);
  });

  it("connects again after its connection was lost, and the command that ran says so", async () => {
    await using ground = await startSshGround(one);
    const there = firstOf(ground);
    await using host = new SshHost(reachOf(ground, there));
    const running = host.exec(["sh", "-c", "touch $HOME/begun; sleep 60"], { deadline: soon() }).catch((error: unknown) => error);
    await until(() => existsSync(join(there.home, "begun")));
    there.dropConnections();
    expect(await running).toMatchObject({ kind: "host_unreachable" });
    expect((await host.exec(["echo", "back"], { deadline: soon() })).stdout).toBe("back\n");
  });

  it("refuses an unknown, a changed and a revoked host key, with fingerprints, and takes a hashed one", async () => {
    await using ground = await startSshGround(one);
    const there = firstOf(ground);
    const tryWith = async (line: string): Promise<unknown> => {
      const knownHosts = join(ground.folder, `known_${randomBytes(4).toString("hex")}`);
      writeFileSync(knownHosts, line);
      await using host = new SshHost(reachOf(ground, there, { knownHosts }));
      return await host.exec(["true"], { deadline: soon() }).catch((error: unknown) => error);
    };
    const right = readFileSync(ground.knownHosts, "utf8");
    const name = right.split(" ")[0] ?? "";
    const other = makeSshKey(join(ground.folder, "other"));
    expect(await tryWith("")).toMatchObject({
      kind: "host_key_refused",
      details: { reason: "unknown", fingerprint: there.hostKey.fingerprint, line: right.trim() },
    });
    const changed = await tryWith(`${name} ${other.publicKey}\n`);
    expect(changed).toMatchObject({ kind: "host_key_refused", details: { reason: "changed" } });
    expect(String(changed)).toContain(other.fingerprint);
    expect(String(changed)).toContain(there.hostKey.fingerprint);
    expect(await tryWith(`@revoked ${right}`)).toMatchObject({ kind: "host_key_refused", details: { reason: "revoked" } });
    const { execFileSync } = await import("node:child_process");
    const hashed = join(ground.folder, "hashed");
    writeFileSync(hashed, right);
    execFileSync("ssh-keygen", ["-q", "-H", "-f", hashed], { stdio: "ignore" });
    const text = readFileSync(hashed, "utf8");
    expect(text).not.toContain(name);
    expect(await tryWith(text)).toMatchObject({ exitCode: 0 });
  });
});
