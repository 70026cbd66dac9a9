import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isProcessAlive, readProcessIdentity } from "@queen-and-hive/daemon";
import {
  fakeModel,
  firstOf,
  hiveOn,
  makeSshKey,
  programCommand,
  readyWorkers,
  type SshTestHost,
  startProgram,
  startSshGround,
  startTestQueen,
  type TestQueen,
  testEnvironment,
  until,
} from "@queen-and-hive/dev-env";
import { QUEEN_ENDPOINTS } from "@queen-and-hive/protocol";
import { describe, expect, it } from "vitest";
import { ask, chat } from "../cluster/ask.ts";
import { daemonsOf } from "./on-ground.ts";

/** What the queen says of a hive that she could not start. */
function troubleOf(queen: TestQueen, hiveId: string): Promise<string> {
  return until(
    async () => {
      const hive = await queen.peer.call(QUEEN_ENDPOINTS.getHive, { params: { hive_id: hiveId } });
      return hive.last_error ?? null;
    },
    20_000,
    `the trouble of ${hiveId}`,
  );
}

function programOf(host: SshTestHost): string {
  return join(host.home, ".local/share/hive/current/hive");
}

describe("hosts with something wrong", () => {
  it("are named with what is wrong, start nothing, and stop neither the queen nor the others", async () => {
    // Root may write everywhere: then that host is entered as nobody.
    const unwritableServer = process.getuid?.() === 0 ? { asNobody: true } : {};
    await using ground = await startSshGround({ hosts: [{}, {}, {}, { passwordOnly: true }, {}, unwritableServer, {}] });
    const [good, foreign, old, asks, changed, unwritable, gone] = ground.hosts;
    if (!good || !foreign || !old || !asks || !changed || !unwritable || !gone)
      throw new Error("a ground of seven hosts has them");
    writeFileSync(programOf(foreign), "#!/bin/sh\necho hello\n", { mode: 0o755 });
    writeFileSync(programOf(old), '#!/bin/sh\n[ "$1" = --version ] && echo "hive 0.0.1" && exit 0\necho \'{"state":1}\'\n');
    chmodSync(programOf(old), 0o755);
    await changed.stopServer();
    await changed.startServer({ hostKey: makeSshKey(join(ground.folder, "another")) });
    chmodSync(ground.folder, 0o755);
    chmodSync(unwritable.home, 0o555);
    await gone.stopServer();
    const named = { good, foreign, old, asks, changed, unwritable, gone };
    await using queen = await startTestQueen({
      config: {
        hives: await Promise.all(Object.entries(named).map(([id, host]) => hiveOn(ground, host, id))),
        models: [fakeModel("far")],
      },
    });
    await queen.hivesRunning(["good"]);
    const current = (host: SshTestHost): string => join(host.home, ".local/share/hive/current");
    expect(await troubleOf(queen, "foreign")).toContain(
      `cannot install the hive on ${foreign.url}: ${current(foreign)} is there, is not ours and no hive (it says "hello")`,
    );
    expect(await troubleOf(queen, "old")).toMatch(
      new RegExp(`^cannot understand what "${programOf(old)} start .*" answered \\(exit code 0\\)`),
    );
    expect(await troubleOf(queen, "asks")).toContain(
      `cannot log in to ${asks.url} (${asks.address}:${asks.port}) as ${asks.user}: `,
    );
    expect(await troubleOf(queen, "changed")).toMatch(/CHANGED.*SHA256:.*SHA256:/s);
    expect(await troubleOf(queen, "unwritable")).toContain(`state_dir: ${unwritable.home} cannot be written to; `);
    expect(await troubleOf(queen, "gone")).toContain(
      `reachable: cannot connect to ${gone.url} (${gone.address}:${gone.port}): connect ECONNREFUSED ${gone.address}:${gone.port}`,
    );
    expect((await ask(queen.url, { body: chat("far") })).status).toBe(200);
    for (const host of [foreign, old, asks, changed, unwritable, gone]) expect(daemonsOf(host)).toEqual([]);

    // What was wrong is put right, and nobody has to tell her.
    await gone.startServer();
    chmodSync(unwritable.home, 0o755);
    await unwritable.stopServer();
    await unwritable.startServer({});
    await queen.hivesRunning(["gone", "unwritable"], 90_000);
  }, 180_000);

  it("are used as they are when they only are peculiar: banners at every login, one session at a time, an older hive", async () => {
    await using ground = await startSshGround({
      hosts: [{ loginNoise: 'Welcome! {"pid": 1, "error": {"message": "no"}}' }, { maxSessions: 1 }, {}],
    });
    const [noisy, narrow, older] = ground.hosts;
    if (noisy === undefined || narrow === undefined || older === undefined) throw new Error("a ground of three hosts has them");
    const hive = programCommand("hive").join(" ");
    const speaks = `sed 's/"version":"[^"]*"/"version":"0.0.9"/; s/"already_running":false/"already_running":true/'`;
    writeFileSync(programOf(older), `#!/bin/sh\n[ "$1" = start ] || exec ${hive} "$@"\n${hive} "$@" | ${speaks}\n`);
    const named = { noisy, narrow, older };
    await using queen = await startTestQueen({
      config: {
        hives: await Promise.all(Object.entries(named).map(([id, host]) => hiveOn(ground, host, id))),
        models: [fakeModel("far", "fake", { workers: { min: 3, max: 3 } })],
      },
    });
    await queen.hivesRunning();
    expect(new Set((await readyWorkers(queen.peer, 3)).map(({ hive_id: hiveId }) => hiveId)).size).toBe(3);
    expect((await ask(queen.url, { body: chat("far") })).status).toBe(200);
    expect(queen.program.output()).toMatch(/the hive runs version 0\.0\.9, this queen is version/);
    expect((await queen.stop()).code).toBe(0);
    for (const host of ground.hosts) expect(host.processes()).toEqual([]);
  }, 120_000);

  it("with a foreign process on the port name it and leave it alone", async () => {
    await using ground = await startSshGround({ hosts: [{}] });
    const there = firstOf(ground);
    const hive = await hiveOn(ground, there, "gpu1");
    const port = Number(hive.listen?.split(":").at(-1));
    const script = `require("node:http").createServer().listen(${port}, "127.0.0.1", () => console.log("listens"))`;
    await using foreign = await startProgram(there.inside([process.execPath, "-e", script]), {
      env: testEnvironment(ground.folder),
      cwd: ground.folder,
      logFile: join(ground.folder, "foreign.log"),
    });
    await until(() => foreign.output().includes("listens"));
    await using queen = await startTestQueen({ config: { hives: [hive], models: [fakeModel("far")] } });
    const trouble = await troubleOf(queen, "gpu1");
    expect(trouble).toMatch(new RegExp(`${port} is taken by process [0-9]+`));
    const pid = Number(/process ([0-9]+)/.exec(trouble)?.[1]);
    expect(readProcessIdentity(pid)).not.toBeNull();
    expect(isProcessAlive(foreign.identity)).toBe(true);
    await foreign[Symbol.asyncDispose]();
    await queen.hivesRunning(["gpu1"], 60_000);
  }, 120_000);

  it("that have other users keep them from the callbacks and from the hive", async () => {
    await using ground = await startSshGround();
    const [there, elsewhere] = ground.hosts;
    if (there === undefined || elsewhere === undefined) throw new Error("a ground of two hosts has them");
    await using queen = await startTestQueen({
      config: {
        hives: [await hiveOn(ground, there, "gpu1"), await hiveOn(ground, elsewhere, "gpu2")],
        models: [fakeModel("far")],
      },
    });
    await queen.hivesRunning();
    expect((await ask(queen.url, { body: chat("far") })).status).toBe(200);
    const way = /"a way back from a hive is open","hive_id":"gpu1".*"url":"unix:([^"]+)"/.exec(queen.program.output())?.[1] ?? "";
    const { url } = await queen.peer.call(QUEEN_ENDPOINTS.getHive, { params: { hive_id: "gpu1" } });
    const asOther = async (script: string): Promise<string> => {
      const argv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", process.execPath, "-e", script];
      const { stdout, stderr } = await there.command(argv);
      return `${stdout}${stderr}`.trim();
    };
    const dial = `require("node:net").connect(${JSON.stringify(way)}).on("connect", () => console.log("in")).on("error", (e) => console.log(e.code))`;
    expect(await asOther(dial)).toBe("EACCES");
    const call = `fetch(${JSON.stringify(`${url}/v1/workers`)}).then((r) => console.log(r.status))`;
    expect(await asOther(call)).toBe("401");
    // With the right user the socket answers the three routes alone, and only to the hive whose socket it is.
    const own = `require("node:http").request({ socketPath: ${JSON.stringify(way)}, path: process.argv[1], method: "POST", headers: { "content-type": "application/json", authorization: "Bearer " + process.argv[2] } }, (r) => { console.log(r.statusCode); process.exit(); }).end("{}")`;
    const asUs = async (path: string, token: string): Promise<string> =>
      (await there.command([process.execPath, "-e", own, path, token])).stdout.trim();
    const tokenOf = (id: string): string => readFileSync(join(queen.stateDir, "secrets", `hive-${id}.token`), "utf8").trim();
    expect(await asUs("/v2/workers/ready", "none")).toBe("401");
    expect(await asUs("/v2/workers/ready", tokenOf("gpu2"))).toBe("401");
    expect(await asUs("/v2/workers/ready", tokenOf("gpu1"))).toBe("400");
    expect(await asUs("/v2/shutdown", tokenOf("gpu1"))).toBe("404");
  }, 120_000);
});
