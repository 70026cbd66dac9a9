import { type Clock, Deadline, isSameProcess, type PeerConnect } from "@queen-and-hive/daemon";
import { type ErrorKind, type HiveIdentity, type HiveStatusAnswer, QhError } from "@queen-and-hive/protocol";
import type { HealthSettings } from "../config/settings.ts";
import type { Finding } from "../domain/hive-states.ts";
import type { HiveCommands } from "../hosts/hive-commands.ts";
import type { Host } from "../hosts/host.ts";
import { createHiveCalls } from "./hive-calls.ts";

/** What a diagnosis needs to know. */
export interface DiagnosisOptions {
  readonly run: HiveIdentity;
  readonly host: Pick<Host, "name" | "isAlive" | "exec">;
  readonly commands: Pick<HiveCommands, "status">;
  readonly connect: PeerConnect | null;
  readonly token: string;
  readonly health: Pick<HealthSettings, "timeoutMs" | "startMs">;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** What was found, and what of it is worth telling. */
export interface Diagnosis {
  readonly finding: Finding;
  readonly detail: string;
}

/** Asks the daemon itself, then its host, what became of a run. Never throws: what cannot be learnt is a finding too. */
export async function diagnose(options: DiagnosisOptions): Promise<Diagnosis> {
  const { run, host } = options;
  if (host.isAlive(run) === false) return gone(run);
  const refusal = await askDaemon(options);
  if (refusal === null) return { finding: "answers", detail: "the daemon answers" };
  try {
    return judge(run, await askHost(options), refusal);
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    const kind = error instanceof QhError ? error.kind : null;
    // A start is safe whether or not the daemon lives: its lock lets it find the one that runs.
    if (kind === "hive_not_installed") return { finding: "gone", detail };
    if (kind !== null && OUT_OF_REACH.has(kind)) return { finding: "no_host", detail };
    return { finding: "unclear", detail: `the daemon does not answer (${refusal}), and its host cannot tell why: ${detail}` };
  }
}

/** Only what its host finds mute is mute: a daemon that answers there is well, whatever our own way to it is like. */
function judge(run: HiveIdentity, { state, identity }: HiveStatusAnswer, refusal: string): Diagnosis {
  // Another run under the same state directory means that ours has ended; a start will find and adopt that one.
  if (state === "stopped" || identity === null || !isSameProcess(identity, run)) return gone(run);
  if (state === "mute") {
    return { finding: "mute", detail: `the daemon (pid ${run.pid}) lives but does not answer: ${refusal}` };
  }
  return {
    finding: "unclear",
    detail: `the daemon (pid ${run.pid}) answers on its own host, but not to us at ${run.url}: ${refusal}; look at the network between`,
  };
}

function gone({ pid }: HiveIdentity): Diagnosis {
  return { finding: "gone", detail: `the daemon (pid ${pid}) has ended` };
}

/** Null when it answers, else why it counts as not answering. */
async function askDaemon({ run, token, connect, health, signal }: DiagnosisOptions): Promise<string | null> {
  await using calls = createHiveCalls({
    hiveId: run.hive_id,
    url: run.url,
    token,
    timeoutMs: health.timeoutMs,
    slowTimeoutMs: health.timeoutMs,
    connect,
  });
  try {
    const answer = await calls.health(signal);
    return answer.hive_id === run.hive_id && isSameProcess(answer, run) ? null : "another daemon answers on its port";
  } catch (error) {
    return error instanceof QhError ? error.message : String(error);
  }
}

/** A host that does anything at all in time gets as long for `hive status` as for a start; a silent one is given up early. */
async function askHost({ host, commands, health, clock, signal: given }: DiagnosisOptions): Promise<HiveStatusAnswer> {
  const silent = new AbortController();
  const signal = AbortSignal.any([given, silent.signal]);
  const alive = host.exec(["true"], { deadline: Deadline.in(health.timeoutMs, clock), signal: given });
  alive.catch((cause: unknown) => {
    silent.abort(new QhError("host_unreachable", `cannot run anything on ${host.name}: ${messageOf(cause)}`, { cause }));
  });
  return await commands.status(Deadline.in(health.startMs, clock), signal);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** What says that the machine itself cannot be reached, rather than what goes on there. */
const OUT_OF_REACH: ReadonlySet<ErrorKind> = new Set(["host_unreachable", "host_key_refused", "host_login_refused"]);
