import { type Clock, Deadline, type PeerConnect } from "@queen-and-hive/daemon";
import { type HiveIdentity, QhError } from "@queen-and-hive/protocol";
import type { HealthSettings } from "../config/settings.ts";
import type { Finding } from "../domain/hive-states.ts";
import type { HiveCommands } from "../hosts/hive-commands.ts";
import type { Host } from "../hosts/host.ts";
import { createHiveCalls } from "./hive-calls.ts";

/** What a diagnosis needs to know. */
export interface DiagnosisOptions {
  readonly run: HiveIdentity;
  readonly host: Host;
  readonly commands: HiveCommands;
  readonly connect: PeerConnect | null;
  readonly token: string;
  readonly health: HealthSettings;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Asks the daemon itself, then its host, what became of a run. Never throws: what cannot be learnt is a finding too. */
export async function diagnose(options: DiagnosisOptions): Promise<{ readonly finding: Finding; readonly detail: string }> {
  const { run, host, commands, clock, health } = options;
  if (host.isAlive(run) === false) return { finding: "gone", detail: `the daemon (pid ${run.pid}) has ended` };
  const answer = await askDaemon(options);
  if (answer === "answers") return { finding: "answers", detail: "the daemon answers" };
  try {
    const status = await commands.status(Deadline.in(health.timeoutMs, clock), options.signal);
    const isOurs = status.identity?.pid === run.pid && status.identity.start_time === run.start_time;
    // Another run under the same state directory means that ours has ended; a start will find and adopt that one.
    if (status.state === "stopped" || !isOurs) return { finding: "gone", detail: `the daemon (pid ${run.pid}) has ended` };
    return { finding: "mute", detail: `the daemon (pid ${run.pid}) lives but does not answer: ${answer}` };
  } catch (error) {
    if (host.isAlive(run) === true)
      return { finding: "mute", detail: `the daemon (pid ${run.pid}) lives but does not answer: ${answer}` };
    return { finding: "no_host", detail: error instanceof Error ? error.message : String(error) };
  }
}

async function askDaemon({ run, token, connect, health, signal }: DiagnosisOptions): Promise<string> {
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
    const isOurs = answer.hive_epoch === run.hive_epoch && answer.hive_id === run.hive_id;
    return isOurs ? "answers" : "another daemon answers on its port";
  } catch (error) {
    return error instanceof QhError ? error.message : String(error);
  }
}
