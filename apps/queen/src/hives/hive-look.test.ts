import { keptConfigText, keptStartSha256, readProcessIdentity, systemClock } from "@queen-and-hive/daemon";
import { type RecordedAnswer, type RecordingServer, startRecordingServer } from "@queen-and-hive/dev-env";
import { type HiveIdentity, PROTOCOL, QhError, type QueenAddress, type QueenClaimAnswer } from "@queen-and-hive/protocol";
import { describe, expect, it } from "vitest";
import { type HiveLook, type HiveLookOptions, lookForRun } from "./hive-look.ts";

const TOKEN = "the token that both of them know";
const CONFIG = { hive_id: "gpu1", labels: { gpu: "rtx4090" } };
const KEPT = keptStartSha256(keptConfigText(CONFIG), TOKEN);

/** A server in place of the daemon; its process is this test's own. */
async function startStandIn(answers: (sane: QueenClaimAnswer) => Partial<Record<string, RecordedAnswer>>): Promise<StandIn> {
  const server = await startRecordingServer();
  const own = readProcessIdentity(process.pid);
  if (own === null) throw new Error("this very process lives");
  const identity = { hive_id: "gpu1", hive_epoch: 7, ...own, version: "0.1.0", protocol: PROTOCOL };
  const sane: QueenClaimAnswer = { status: "ok", ...identity, kept_sha256: KEPT };
  const { kept_sha256: _kept, ...health } = sane;
  const given: Partial<Record<string, RecordedAnswer>> = {
    "/health": { status: 200, body: health },
    "/v1/queen": { status: 200, body: sane },
    ...answers(sane),
  };
  server.answer(({ url }) => given[url] ?? "drop");
  return { server, recorded: { ...identity, url: server.url }, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

interface StandIn extends AsyncDisposable {
  readonly server: RecordingServer;
  readonly recorded: HiveIdentity;
}

function queenAddress(): QueenAddress {
  return { queen_id: "queen-00000000-0000-4000-8000-000000000000", queen_epoch: 3, queen_url: "http://127.0.0.1:8080" };
}

function look({ recorded }: Pick<StandIn, "recorded">, other: Partial<HiveLookOptions> = {}): Promise<HiveLook> {
  return lookForRun({
    recorded,
    settings: { id: "gpu1", config: CONFIG },
    host: { isLocal: true, isAlive: ({ start_time }) => start_time === readProcessIdentity(process.pid)?.start_time },
    transport: { queenAddress: async () => queenAddress(), connectDaemon: null },
    token: TOKEN,
    health: { startMs: 10_000, timeoutMs: 5_000 },
    bringsNothing: async () => true,
    clock: systemClock,
    signal: new AbortController().signal,
    ...other,
  });
}

/** What was asked, with whether the token was shown. */
function askedOf({ server }: StandIn): readonly string[] {
  return server.requests.map(
    ({ method, url, headers }) => `${method} ${url}${headers["authorization"] === undefined ? "" : " (token)"}`,
  );
}

describe("a look at the hive that an earlier queen knew", () => {
  it("recognises it, tells it who its queen is, and takes the version that it says", async () => {
    await using there = await startStandIn((sane) => ({ "/health": { status: 200, body: without(sane, { version: "9.9.9" }) } }));
    expect(await look(there)).toEqual({ kind: "recognised", run: { ...there.recorded, version: "9.9.9" } });
    expect(there.server.requests.at(-1)).toMatchObject({ method: "PUT", url: "/v1/queen", body: queenAddress() });
    expect(there.server.requests.at(-1)?.headers["authorization"]).toBe(`Bearer ${TOKEN}`);
  });

  it.each<[string, Partial<QueenClaimAnswer>]>([
    ["another hive", { hive_id: "gpu2" }],
    ["another run of it", { hive_epoch: 8 }],
    ["another process", { pid: 1 }],
    ["a process that got its pid later", { start_time: 1 }],
    ["a process of another boot", { boot_id: "00000000-0000-4000-8000-000000000000" }],
    ["one that is stopping", { status: "stopping" }],
  ])("shows its token to nobody but it: not to %s", async (_what, difference) => {
    await using there = await startStandIn((sane) => ({ "/health": { status: 200, body: without(sane, difference) } }));
    expect(await look(there)).toMatchObject({ kind: "other" });
    expect(askedOf(there).filter((asked) => !asked.startsWith("GET /health"))).toEqual([]);
  });

  it("asks nobody when the process is gone, or its pid another's, whoever answers at its address", async () => {
    await using there = await startStandIn(() => ({}));
    const recorded = { ...there.recorded, start_time: there.recorded.start_time - 1 };
    expect(await look({ recorded })).toMatchObject({ kind: "other", detail: expect.stringContaining("has ended") });
    expect(askedOf(there)).toEqual([]);
  });

  it.each<[string, RecordedAnswer | ((sane: QueenClaimAnswer) => RecordedAnswer)]>([
    ["keeps another configuration or token", (sane) => ({ status: 200, body: { ...sane, kept_sha256: "0".repeat(64) } })],
    ["cannot say what it keeps", (sane) => ({ status: 200, body: { ...sane, kept_sha256: null } })],
    ["is of a version that does not say what it keeps", (sane) => ({ status: 200, body: without(sane, {}) })],
    ["belongs to another queen", { status: 409, body: errorBody("owned_by_another_queen") }],
    ["has followed a later queen", { status: 409, body: errorBody("stale_epoch") }],
    ["does not know our token", { status: 401, body: errorBody("unauthenticated") }],
    ["answers with nonsense", { status: 200, body: { it: "works" } }],
    ["cuts the connection", "drop"],
  ])("does not recognise one that %s", async (_what, answer) => {
    await using there = await startStandIn((sane) => ({ "/v1/queen": typeof answer === "function" ? answer(sane) : answer }));
    expect(await look(there)).toMatchObject({ kind: "other" });
    expect(askedOf(there)).toContain("PUT /v1/queen (token)");
  });

  it("gives a mute one no longer than a call may take", async () => {
    await using there = await startStandIn(() => ({}));
    there.server.answer(() => new Promise<never>(() => undefined));
    expect(await look(there, { health: { startMs: 10_000, timeoutMs: 200 } })).toMatchObject({ kind: "other" });
  });

  it("asks nobody while there is something that only a start brings", async () => {
    await using there = await startStandIn(() => ({}));
    expect(await look(there, { bringsNothing: async () => false })).toMatchObject({ kind: "other" });
    expect(askedOf(there)).toEqual([]);
  });

  it("tells a host that cannot be reached from a hive that is not there", async () => {
    await using there = await startStandIn(() => ({}));
    const transport = (kind: "host_unreachable" | "host_login_refused") => ({
      queenAddress: () => Promise.reject(new QhError(kind, "cannot reach gpu1")),
      connectDaemon: null,
    });
    const far = { isLocal: false, isAlive: () => null };
    expect(await look(there, { host: far, transport: transport("host_unreachable") })).toMatchObject({ kind: "no_host" });
    expect(await look(there, { host: far, transport: transport("host_login_refused") })).toMatchObject({ kind: "other" });
    await there.server.leave();
    expect(await look(there, { host: far })).toMatchObject({ kind: "other" });
  });
});

/** The answer of `GET /health`, some of it changed. */
function without({ kept_sha256: _kept, ...health }: QueenClaimAnswer, difference: Partial<QueenClaimAnswer>): object {
  return { ...health, ...difference };
}

function errorBody(code: string): object {
  return { error: { message: `cannot do this: ${code}`, type: "invalid_request_error", code, request_id: "request-1" } };
}
