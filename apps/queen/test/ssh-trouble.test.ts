import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { Deadline } from "@queen-and-hive/daemon";
import { firstOf, ManualClock, makeSshKey, type SshServerOptions, startSshGround, until } from "@queen-and-hive/dev-env";
import { QhError } from "@queen-and-hive/protocol";
import { describe, expect, it } from "vitest";
import { sshLimits } from "../src/config/resolve-hive.ts";
import { parseSshTarget } from "../src/config/ssh-target.ts";
import { SshHost } from "../src/hosts/ssh-host.ts";
import { reachOf } from "./ssh-reach.ts";

/** Whatever goes wrong is known by then. */
const BOUND_MS = 20_000;
const soon = (): Deadline => Deadline.in(60_000);

/** What became of it, and that it was known in time. */
async function failureOf(work: Promise<unknown>): Promise<QhError> {
  const started = performance.now();
  const outcome = await work.catch((error: unknown) => error);
  expect(performance.now() - started).toBeLessThan(BOUND_MS);
  if (!(outcome instanceof QhError)) throw new Error(`this was to fail with a kind: ${String(outcome)}`);
  return outcome;
}

/** TCP connections of this process. */
const openSockets = (): number => process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap").length;

const ground = (options: SshServerOptions = {}) => startSshGround({ hive: false, hosts: [options] });

describe("a host over SSH that will not have us", () => {
  it("for a key that it does not know, and for passwords alone, says what was tried", async () => {
    await using machines = await ground();
    const other = makeSshKey(join(machines.folder, "stranger"));
    await using host = new SshHost(reachOf(machines, firstOf(machines), { identityFile: other.path }));
    const refused = await failureOf(host.exec(["true"], { deadline: soon() }));
    expect(refused).toMatchObject({ kind: "host_login_refused" });
    expect(refused.message).toContain(other.path);
    await firstOf(machines).stopServer();
    await firstOf(machines).startServer({ passwordOnly: true });
    await using asked = new SshHost(reachOf(machines, firstOf(machines)));
    expect(await failureOf(asked.exec(["true"], { deadline: soon() }))).toMatchObject({ kind: "host_login_refused" });
  }, 60_000);

  it("for an identity file that is not there or no key", async () => {
    await using machines = await ground();
    const reach = reachOf(machines, firstOf(machines));
    await using nowhere = new SshHost({ ...reach, identityFile: join(machines.folder, "nowhere") });
    expect(await failureOf(nowhere.exec(["true"], { deadline: soon() }))).toMatchObject({ kind: "host_login_refused" });
    writeFileSync(join(machines.folder, "noise"), randomBytes(200));
    await using noise = new SshHost({ ...reach, identityFile: join(machines.folder, "noise") });
    expect(await failureOf(noise.exec(["true"], { deadline: soon() }))).toMatchObject({ kind: "host_login_refused" });
  });

  it("for a host key that has changed since, naming both", async () => {
    await using machines = await ground();
    const there = firstOf(machines);
    await using host = new SshHost(reachOf(machines, there));
    expect((await host.exec(["true"], { deadline: soon() })).exitCode).toBe(0);
    const before = there.hostKey.fingerprint;
    await there.stopServer();
    await there.startServer({ hostKey: makeSshKey(join(machines.folder, "new_host_key")) });
    await until(() =>
      host.exec(["true"], { deadline: soon() }).then(
        () => false,
        (error: QhError) => error.kind === "host_key_refused",
      ),
    );
    const refused = await failureOf(host.exec(["true"], { deadline: soon() }));
    expect(refused.message).toContain(before);
    expect(refused.message).toContain(there.hostKey.fingerprint);
  }, 60_000);
});

describe("a host over SSH that goes silent", () => {
  it("before its banner is given up, and nothing of the attempt stays open", async () => {
    const sockets = new Set<Socket>();
    const mute = createServer((socket) =>
      sockets.add(
        socket
          .resume()
          .on("error", () => undefined)
          .on("close", () => sockets.delete(socket)),
      ),
    );
    mute.listen(0, "127.0.0.1");
    await once(mute, "listening");
    const address = mute.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    await using machines = await ground();
    const target = parseSshTarget(`ssh://me@127.0.0.1:${port}`);
    if (target === null) throw new Error("an address is one");
    await using host = new SshHost(reachOf(machines, firstOf(machines), { name: "mute", target }));
    expect(await failureOf(host.exec(["true"], { deadline: soon() }))).toMatchObject({ kind: "host_unreachable" });
    await until(() => sockets.size === 0);
    mute.close();
  }, 60_000);

  it("before its banner gets all the time that ssh.connect gives it", async () => {
    const mute = createServer().listen(0, "127.0.0.1");
    await once(mute, "listening");
    const address = mute.address();
    const target = parseSshTarget(`ssh://me@127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`);
    if (target === null) throw new Error("an address is one");
    await using machines = await ground();
    const clock = new ManualClock();
    const limits = sshLimits({ ssh: { connect: "60s" } });
    await using host = new SshHost(reachOf(machines, firstOf(machines), { name: "mute", target, limits }), clock);
    const arrived = once(mute, "connection");
    let outcome: unknown = "none yet";
    const running = host.exec(["true"], { deadline: soon() }).catch((error: unknown) => {
      outcome = error;
    });
    const [socket] = await arrived;
    await clock.advance(59_000);
    expect(outcome).toBe("none yet");
    socket.destroy();
    await running;
    expect(outcome).toMatchObject({ kind: "host_unreachable", message: expect.not.stringContaining("in time") });
    mute.close();
  }, 60_000);

  it("in the middle of a command is noticed, and reached again when it is back", async () => {
    await using machines = await ground();
    const there = firstOf(machines);
    await using host = new SshHost(reachOf(machines, there));
    const running = host.exec(["sh", "-c", 'touch "$HOME/begun"; sleep 60'], { deadline: soon() });
    await until(() => existsSync(join(there.home, "begun")));
    there.cutLink();
    expect(await failureOf(running)).toMatchObject({ kind: "host_unreachable" });
    expect(await failureOf(host.exec(["true"], { deadline: Deadline.in(2_000) }))).toMatchObject({
      kind: expect.stringMatching(/host_unreachable|deadline_exceeded/),
    });
    there.mendLink();
    await until(() => host.exec(["true"], { deadline: soon() }).then(({ exitCode }) => exitCode === 0), 20_000);
  }, 90_000);

  it("is let go of at once, without waiting for an answer to our goodbye", async () => {
    await using machines = await ground();
    const there = firstOf(machines);
    await using host = new SshHost(reachOf(machines, there));
    await host.exec(["true"], { deadline: soon() });
    const connected = openSockets();
    there.cutLink();
    await host[Symbol.asyncDispose]();
    await until(() => openSockets() === connected - 1, 10_000, "the end of our socket");
    there.mendLink();
  }, 60_000);

  it("during a command that has a deadline of its own is left at that", async () => {
    await using machines = await ground();
    await using host = new SshHost(reachOf(machines, firstOf(machines)));
    await host.exec(["true"], { deadline: soon() });
    const late = await failureOf(host.exec(["sleep", "60"], { deadline: Deadline.in(300) }));
    expect(late).toMatchObject({ kind: "deadline_exceeded" });
    expect((await host.exec(["true"], { deadline: soon() })).exitCode).toBe(0);
  });
});

describe("an upload over SSH", () => {
  const upload = (host: SshHost, target: string, bytes: Uint8Array, deadline = soon()): Promise<void> =>
    host.upload({ bytes }, target, { mode: 0o755, deadline });

  it("to a disk that fills up leaves nothing, and what was there before stays", async () => {
    await using machines = await ground();
    const there = firstOf(machines);
    await using host = new SshHost(reachOf(machines, there));
    const target = join(there.home, "bin", "hive");
    await upload(host, target, Buffer.from("before"));
    await there.stopServer();
    await there.startServer({ fileSizeMaxKib: 100 });
    await until(() => host.exec(["true"], { deadline: soon() }).then(() => true));
    const failed = await failureOf(upload(host, target, randomBytes(1_000_000)));
    expect(failed).toMatchObject({ kind: "upload_failed" });
    expect(failed.message).toContain("space");
    expect(readdirSync(join(there.home, "bin"))).toEqual(["hive"]);
  }, 60_000);

  it("whose link is cut half-way leaves nothing, also when the link stays cut", async () => {
    await using machines = await ground();
    const there = firstOf(machines);
    await using host = new SshHost(reachOf(machines, there));
    const folder = join(there.home, "bin");
    const source = join(machines.folder, "large");
    writeFileSync(source, randomBytes(30_000_000));
    const cut = host.upload({ file: source }, join(folder, "hive"), {
      mode: 0o755,
      deadline: Deadline.in(8_000),
      onProgress: () => {
        if (existsSync(folder) && readdirSync(folder).length > 0) there.cutLink();
      },
    });
    expect(await failureOf(cut)).toMatchObject({ kind: expect.stringMatching(/deadline_exceeded|host_unreachable/) });
    await until(() => readdirSync(folder).length === 0, 20_000, "the end of the half of a file");
    there.mendLink();
  }, 90_000);

  it("to a place that cannot be written says so", async () => {
    await using machines = await ground();
    const there = firstOf(machines);
    await using host = new SshHost(reachOf(machines, there));
    writeFileSync(join(there.home, "file"), "");
    const failed = await failureOf(upload(host, join(there.home, "file", "hive"), Buffer.from("x")));
    expect(failed).toMatchObject({ kind: "upload_failed" });
    expect(failed.message).toContain("permissions");
  });
});
