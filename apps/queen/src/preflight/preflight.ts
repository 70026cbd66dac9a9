import { type Clock, Deadline } from "@queen-and-hive/daemon";
import { type ErrorKind, type HiveFinding, PROTOCOL, QhError } from "@queen-and-hive/protocol";
import type { HiveSettings, PreflightSettings } from "../config/settings.ts";
import { checkoutHive, installedHive } from "../hosts/hive-argv.ts";
import type { Argv, Host } from "../hosts/host.ts";
import { hiveStateDir, hostPath } from "../hosts/host-path.ts";
import { QUEEN_VERSION } from "../version.ts";
import { deviceFindings } from "./device-findings.ts";
import { engineFindings } from "./engine-findings.ts";
import { fail, ok } from "./finding.ts";
import { hiveFindings } from "./hive-findings.ts";
import { machineFindings } from "./machine-findings.ts";
import { parseProbe } from "./probe-report.ts";
import { probeArgv } from "./probe-script.ts";
import { storageFindings } from "./storage-findings.ts";

/** What a look at a host needs to know. */
export interface PreflightOptions {
  readonly host: Host;
  readonly hive: HiveSettings;
  readonly limits: PreflightSettings;
  /** Null when no queen has ever run here. */
  readonly queenId: string | null;
  /** Whether the hive program itself is asked; a start asks it anyway. */
  readonly askHive: boolean;
  readonly clock: Clock;
  readonly signal?: AbortSignal;
}

/** Looks at a hive's host once. Never throws: a host that cannot be looked at is a finding too. */
export async function preflight(options: PreflightOptions): Promise<readonly HiveFinding[]> {
  const { host, limits, clock, signal } = options;
  const deadline = Deadline.in(limits.deadlineMs, clock);
  try {
    const look = await lookAt(options, deadline);
    return [ok("reachable", host.isLocal ? "this machine" : `as ${look.user}`), ...look.findings];
  } catch (error) {
    if (signal?.aborted === true) throw error;
    return [unreachableFinding(error, host)];
  }
}

/** Throws `preflight_failed`, or the kind of the only thing that is wrong, naming every finding with which a hive cannot start. */
export function requireFit(hiveId: string, hostName: string, findings: readonly HiveFinding[]): void {
  const failed = findings.filter(({ level }) => level === "fail");
  const [first] = failed;
  if (first === undefined) return;
  const kind: ErrorKind = failed.length === 1 && first.check === "port" ? "port_in_use" : "preflight_failed";
  const reasons = failed.map(({ check, found, advice }) => `${check}: ${found}; ${advice ?? "look there"}`);
  throw new QhError(kind, `cannot start ${hiveId} on ${hostName}: ${reasons.join(" · ")}`, { details: { findings: failed } });
}

async function lookAt(
  { host, hive, limits, queenId, askHive, clock, signal }: PreflightOptions,
  deadline: Deadline,
): Promise<{ readonly user: string; readonly findings: readonly HiveFinding[] }> {
  const facts = await host.facts(deadline, signal);
  const absolute = (path: string): string => hostPath(path, facts);
  const installDir = hive.installDir === null ? null : absolute(hive.installDir);
  const stateDir = hiveStateDir(hive, facts);
  const modelsDir = hive.config.models_dir === undefined ? null : absolute(hive.config.models_dir);
  const bins = configuredBins(hive);
  const port = portOf(hive);
  const program: Argv = installDir === null ? checkoutHive() : installedHive(installDir);
  const argv = probeArgv({
    stateDir,
    installDir,
    modelsDir,
    port,
    bins,
    program: askHive ? program : null,
    limitS: Math.ceil(limits.programMs / 1_000),
  });
  const sentMs = clock.nowMs();
  const end = await host.exec(argv, { deadline, signal });
  const report = parseProbe(end, host.name);
  const times = { sentMs, answeredMs: clock.nowMs() };
  const queen = { queenId, version: QUEEN_VERSION, protocol: PROTOCOL };
  return {
    user: report.user,
    findings: [
      ...machineFindings(report, times, limits, installDir !== null),
      ...storageFindings(report, { stateDir, installDir, modelsDir }, limits),
      ...deviceFindings(report),
      ...hiveFindings(report, port, queen),
      ...engineFindings(report, Object.keys(bins)),
    ],
  };
}

function configuredBins({ config }: HiveSettings): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(config.runtimes ?? {}).flatMap(([name, { bin }]) => (bin === undefined ? [] : [[name, bin]])),
  );
}

function portOf({ config }: HiveSettings): number {
  const listen = config.listen ?? "";
  return Number(listen.slice(listen.lastIndexOf(":") + 1));
}

function unreachableFinding(error: unknown, host: Host): HiveFinding {
  const message = error instanceof Error ? error.message : String(error);
  const kind = error instanceof QhError ? error.kind : "internal";
  if (kind === "host_key_refused") return fail("host_key", message, `compare the fingerprint on ${host.name} itself`);
  return fail("reachable", message, `try "ssh" to ${host.name} by hand`);
}
