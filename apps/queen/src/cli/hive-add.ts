import { addToList, type ListEntry, systemClock } from "@queen-and-hive/daemon";
import {
  COMMAND_EXIT,
  type HiveFinding,
  type HiveRecord,
  QhError,
  QUEEN_CONFIG_DEFAULTS,
  QUEEN_ENDPOINTS,
} from "@queen-and-hive/protocol";
import type { ConfigSurroundings } from "../config/load.ts";
import type { HiveSettings, QueenSettings } from "../config/settings.ts";
import { requireConfigFile, stageConfig } from "../config/staged-config.ts";
import { createHost } from "../hosts/create-host.ts";
import { preflight, requireFit } from "../preflight/preflight.ts";
import { readQueenIdentity } from "../store/queen-identity.ts";
import { confirmHostKey } from "./confirm-host-key.ts";
import { formatFindings } from "./findings-text.ts";
import { followStart } from "./hive-start.ts";
import type { CommonOptions } from "./program.ts";
import { ProgressLines } from "./progress-lines.ts";
import { openRunningQueen, stopOrderMs } from "./queen-client.ts";
import { terminalColumns } from "./watch.ts";

/** The flags of `queen hive add`. */
export interface HiveAddFlags extends Pick<CommonOptions, "config" | "json"> {
  readonly transport?: string;
  readonly identityFile?: string;
  readonly knownHosts?: string;
  readonly listen?: string;
  readonly modelsDir?: string;
  readonly installDir?: string;
  readonly stateDir?: string;
  readonly label?: readonly string[];
  /** The fingerprint that the host's key must have, for programs. */
  readonly hostKey?: string;
  /** False: the host is not looked at. */
  readonly check?: boolean;
}

/**
 * `queen hive add ID HOST`: looks at the host, asks once for an unknown host key, writes the hive into the configuration
 * file, and has the running queen take it from there.
 */
export async function hiveAdd(id: string, host: string, flags: HiveAddFlags, around: ConfigSurroundings): Promise<number> {
  const file = requireConfigFile(flags.config, around);
  const entry = entryOf(id, host, flags);
  const staged = stageConfig(file, (text) => addToList(text, "hives", entry, QUEEN_CONFIG_DEFAULTS.hives), around);
  const findings = flags.check === false ? [] : await look(id, staged.settings, flags);
  await staged.commit();
  const record = await takeIntoRunningQueen(id, { ...flags, config: file }, around);
  if (flags.json === true) process.stdout.write(`${JSON.stringify({ hive_id: id, file, findings, hive: record })}\n`);
  else process.stdout.write(`${id} is in ${file}${record === null ? '; "queen serve" will start it' : ""}\n`);
  return record === null || record.state === "running" ? COMMAND_EXIT.done : COMMAND_EXIT.failed;
}

function entryOf(id: string, host: string, flags: HiveAddFlags): ListEntry {
  const labels = (flags.label ?? []).map(parseLabel);
  const optional = {
    transport: flags.transport,
    identity_file: flags.identityFile,
    known_hosts: flags.knownHosts,
    listen: flags.listen,
    models_dir: flags.modelsDir,
    install_dir: flags.installDir,
    state_dir: flags.stateDir,
    labels: labels.length === 0 ? undefined : Object.fromEntries(labels),
  };
  return { id, host, ...Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined)) };
}

function parseLabel(text: string): readonly [string, string] {
  const [, name, value] = /^([^=]+)=(.*)$/.exec(text) ?? [];
  if (name === undefined || value === undefined)
    throw new QhError("invalid_config", `cannot read the label ${JSON.stringify(text)}: write name=value`);
  return [name, value];
}

/** The findings on the host. Throws `preflight_failed` and its like, and `host_key_refused` when nobody trusts its key. */
async function look(id: string, settings: QueenSettings, flags: HiveAddFlags): Promise<readonly HiveFinding[]> {
  const hive = settings.hives.find((one) => one.id === id);
  if (hive === undefined)
    throw new QhError("hive_not_found", `cannot look at the host of ${id}: the configuration has no such hive`);
  await confirmHostKey(hive.reach, { expected: flags.hostKey ?? null, deadlineMs: settings.preflight.deadlineMs });
  await using host = createHost(hive.reach);
  const findings = await preflight({
    host,
    hive,
    limits: settings.preflight,
    queenId: readQueenIdentity(settings.stateDir)?.queen_id ?? null,
    askHive: hasProgram(hive),
    clock: systemClock,
  });
  if (flags.json !== true) process.stderr.write(`${formatFindings(`${id} (${host.name})`, findings, terminalColumns())}\n\n`);
  requireFit(id, host.name, findings);
  return findings;
}

/** What runs from this checkout is known already. */
function hasProgram({ installDir }: HiveSettings): boolean {
  return installDir !== null;
}

/** Null when no queen runs. One that is still being stopped since it left the file is waited for. */
async function takeIntoRunningQueen(id: string, flags: HiveAddFlags, around: ConfigSurroundings): Promise<HiveRecord | null> {
  await using queen = openRunningQueen(flags, around, stopOrderMs(flags, around));
  if (queen === null) return null;
  await queen.call(QUEEN_ENDPOINTS.putHive, { params: { hive_id: id } });
  const progress = flags.json === true ? null : new ProgressLines();
  const record = await followStart(queen, id, progress);
  progress?.end();
  return record;
}
