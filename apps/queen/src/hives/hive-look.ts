import { type Clock, Deadline, isSameProcess, keptConfigText, keptStartSha256 } from "@queen-and-hive/daemon";
import { type HiveHealth, type HiveIdentity, QhError } from "@queen-and-hive/protocol";
import type { HealthSettings, HiveSettings } from "../config/settings.ts";
import type { Host } from "../hosts/host.ts";
import { createHiveCalls } from "./hive-calls.ts";
import type { HiveTransport } from "./transport.ts";

/** What a look needs to know. */
export interface HiveLookOptions {
  /** The daemon that an earlier queen knew. */
  readonly recorded: HiveIdentity;
  readonly settings: Pick<HiveSettings, "id" | "config">;
  readonly host: Pick<Host, "isAlive" | "isLocal">;
  readonly transport: Pick<HiveTransport, "queenAddress" | "connectDaemon">;
  readonly token: string;
  readonly health: Pick<HealthSettings, "startMs" | "timeoutMs">;
  /** Whether a start would bring nothing to a host on which the daemon runs. */
  readonly bringsNothing: () => Promise<boolean>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** What a look found: the recorded daemon, anything else, or no way to its host. */
export type HiveLook =
  | { readonly kind: "recognised"; readonly run: HiveIdentity }
  | { readonly kind: "other" | "no_host"; readonly detail: string };

/**
 * Looks straight at the daemon that an earlier queen knew, which costs a few milliseconds where `hive start` costs a process
 * on the host. It is recognised only when nothing is left for a start to do: the recorded process answers at the recorded
 * address, it takes our claim, its host keeps the configuration and the token that a start would hand over, and there is
 * nothing to bring. Never throws: what cannot be learnt is a finding too.
 */
export async function lookForRun(options: HiveLookOptions): Promise<HiveLook> {
  const { recorded, host, bringsNothing } = options;
  try {
    if (host.isAlive(recorded) === false) return { kind: "other", detail: `its process (pid ${recorded.pid}) has ended` };
    if (!(await bringsNothing())) return { kind: "other", detail: "the embedded worker is not known to be in place there" };
    return await askRun(options);
  } catch (error) {
    const isLost = error instanceof QhError && error.kind === "host_unreachable" && !host.isLocal;
    return { kind: isLost ? "no_host" : "other", detail: error instanceof Error ? error.message : String(error) };
  }
}

async function askRun({ recorded, settings, transport, token, health, clock, signal }: HiveLookOptions): Promise<HiveLook> {
  const address = await transport.queenAddress(Deadline.in(health.startMs, clock), signal);
  await using calls = createHiveCalls({
    hiveId: settings.id,
    url: recorded.url,
    token,
    timeoutMs: health.timeoutMs,
    slowTimeoutMs: health.timeoutMs,
    connect: transport.connectDaemon,
  });
  // The token goes to nobody who has not said to be the recorded process.
  const answer = await calls.health(signal);
  const stranger = strangerThan(recorded, answer);
  if (stranger !== null) return { kind: "other", detail: `${recorded.url} is answered by ${stranger}` };
  if (answer.status !== "ok") return { kind: "other", detail: "it is stopping" };
  const { kept_sha256: kept } = await calls.claim(address, signal);
  if (kept !== keptStartSha256(keptConfigText(settings.config), token))
    return { kind: "other", detail: "its host keeps another configuration than this queen's, or does not say which" };
  return { kind: "recognised", run: { ...recorded, version: answer.version, protocol: answer.protocol } };
}

/** Who answers, when it is not the recorded daemon. */
function strangerThan(recorded: HiveIdentity, answer: HiveHealth): string | null {
  const { hive_id: hiveId, hive_epoch: epoch, pid, boot_id: bootId } = answer;
  const isSameRun = hiveId === recorded.hive_id && epoch === recorded.hive_epoch;
  return isSameRun && isSameProcess(answer, recorded) ? null : `${hiveId} of epoch ${epoch}, process ${pid} of boot ${bootId}`;
}
