import { once } from "node:events";
import { createServer } from "node:http";
import { systemClock } from "@queen-and-hive/daemon";
import { type HiveIdentity, type HiveStatusAnswer, parseHiveId, QhError } from "@queen-and-hive/protocol";
import { describe, expect, it } from "vitest";
import type { CommandEnd } from "../hosts/host.ts";
import { type Diagnosis, diagnose } from "./diagnosis.ts";

const HEALTH = { timeoutMs: 1_500, startMs: 15_000 };
const DONE: CommandEnd = { stdout: "", stderr: "", exitCode: 0 };

/** What daemon and host do when they are asked; each is a working one unless the test says otherwise. */
interface Situation {
  /** What answers at the daemon's address; null: nobody does. */
  readonly answers?: Partial<HiveIdentity> | null;
  readonly status?: (run: HiveIdentity, signal?: AbortSignal) => Promise<HiveStatusAnswer>;
  /** What becomes of any other command on the host. */
  readonly exec?: () => Promise<CommandEnd>;
  readonly isAlive?: boolean | null;
}

async function look({ answers = null, status = says("running"), exec, isAlive = null }: Situation): Promise<Diagnosis> {
  let run: HiveIdentity | null = null;
  const server = createServer((_request, response) => {
    if (answers === null) return void response.destroy();
    response.setHeader("content-type", "application/json").end(JSON.stringify({ status: "ok", ...run, ...answers }));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  run = runAt(`http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`);
  const asked = run;
  try {
    return await diagnose({
      run: asked,
      host: { name: "gpu1", isAlive: () => isAlive, exec: exec ?? (async () => DONE) },
      commands: { status: async (_deadline, signal) => await status(asked, signal) },
      connect: null,
      token: "token",
      health: HEALTH,
      clock: systemClock,
      signal: new AbortController().signal,
    });
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

function runAt(url: string): HiveIdentity {
  const id = parseHiveId("gpu1");
  if (id === null) throw new Error("cannot make the id of a hive");
  const protocol = { min: 1, max: 1 };
  return { hive_id: id, hive_epoch: 3, pid: 41, start_time: 7, boot_id: "boot", url, version: "0.1.0", protocol };
}

function says(state: HiveStatusAnswer["state"], of: Partial<HiveIdentity> = {}) {
  return async (run: HiveIdentity): Promise<HiveStatusAnswer> => ({
    state,
    identity: state === "stopped" ? null : { ...run, ...of },
    owner: null,
    workers: 0,
  });
}

function fails(kind: QhError["kind"]) {
  return async (): Promise<never> => {
    throw new QhError(kind, `cannot do it: ${kind}`);
  };
}

describe("a diagnosis", () => {
  it.each<[string, Situation, Diagnosis["finding"], RegExp]>([
    ["the daemon answers", { answers: {} }, "answers", /answers/],
    ["its process is gone, as we see ourselves", { answers: {}, isAlive: false }, "gone", /pid 41/],
    ["its host says that it is gone", { status: says("stopped") }, "gone", /pid 41/],
    ["its host has another run", { status: says("running", { pid: 42 }) }, "gone", /pid 41/],
    ["its pid was given to another process", { status: says("running", { start_time: 8 }) }, "gone", /pid 41/],
    ["its pid and start are of another boot", { status: says("mute", { boot_id: "other" }) }, "gone", /pid 41/],
    ["its host finds it mute", { status: says("mute") }, "mute", /lives but does not answer/],
    ["it answers on its host and not to us", { status: says("running"), isAlive: true }, "unclear", /not to us at http/],
    ["another run of its epoch answers in its place", { answers: { pid: 42 } }, "unclear", /another daemon/],
    ["another process with its pid answers in its place", { answers: { start_time: 8 } }, "unclear", /another daemon/],
    ["there is no program of ours any more", { status: fails("hive_not_installed") }, "gone", /hive_not_installed/],
    ["the host answers nonsense", { status: fails("peer_nonsense") }, "unclear", /cannot tell why/],
    ["the host cannot tell in time", { status: fails("deadline_exceeded"), isAlive: true }, "unclear", /cannot tell why/],
    ["the host is out of reach", { status: fails("host_unreachable") }, "no_host", /host_unreachable/],
    ["the host has another key", { status: fails("host_key_refused") }, "no_host", /host_key_refused/],
    ["the host lets us in no more", { status: fails("host_login_refused") }, "no_host", /host_login_refused/],
  ])("finds out that %s", async (_what, situation, finding, detail) => {
    const diagnosis = await look(situation);
    expect(diagnosis).toEqual({ finding, detail: expect.stringMatching(detail) });
  });

  it("waits longer than its timeout for a host that is slow, and gives up one that does nothing at all", async () => {
    const slow = async (run: HiveIdentity, signal?: AbortSignal): Promise<HiveStatusAnswer> => {
      await systemClock.sleep(HEALTH.timeoutMs * 1.5, signal);
      return await says("stopped")(run);
    };
    expect(await look({ status: slow })).toMatchObject({ finding: "gone" });
    expect(await look({ status: slow, exec: fails("deadline_exceeded") })).toMatchObject({ finding: "no_host" });
  });
});
