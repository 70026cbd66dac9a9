import { join, resolve as resolvePath } from "node:path";
import { expandHome } from "@queen-and-hive/daemon";
import {
  HIVE_CONFIG_DEFAULTS,
  type HiveConfigInput,
  parseDurationMs,
  QUEEN_CONFIG_DEFAULTS,
  type QueenConfigInput,
} from "@queen-and-hive/protocol";
import type { HiveSettings } from "./settings.ts";
import type { SshLimits, SshReach } from "./ssh-reach.ts";
import { parseSshTarget } from "./ssh-target.ts";

type HiveInput = NonNullable<QueenConfigInput["hives"]>[number];

/** What a hive's settings depend on beside the configuration. */
export interface HivePlace {
  /** Directory that relative paths of a local hive start from. */
  readonly base: string;
  readonly home: string;
  readonly machineId: string;
  readonly sshAgent: string | null;
  /** The first hive on its host: only that one gets the default port. */
  readonly isFirst: boolean;
}

/** Where hives are installed on machines that are reached over SSH, unless told. */
const INSTALL_DIR = "~/.local/share/hive";

/** What the configuration says of a hive's host. */
export function hostOf(hive: HiveInput): string {
  return hive.host ?? "local";
}

/**
 * One hive of the configuration, merged over `defaults.hive`. On this machine paths start at the configuration file and
 * `models_dir` defaults to its directory; elsewhere they mean that machine's, and only the hive itself can read them.
 * Hives after the first of a host listen on any free port unless told.
 */
export function resolveHive(config: QueenConfigInput, input: HiveInput, place: HivePlace): HiveSettings {
  const hive = { ...QUEEN_CONFIG_DEFAULTS.defaults.hive, ...config.defaults?.hive, ...input };
  const reach = reachOf(config, hive, place);
  const here = (path: string): string => resolvePath(place.base, expandHome(path, place.home));
  const there = reach === null ? here : (path: string): string => path;
  const stateDir = hive.state_dir === undefined ? defaultStateDir(hive.id, reach, place) : there(hive.state_dir);
  const modelsDir = hive.models_dir ?? (reach === null ? place.base : undefined);
  const labels = { ...config.defaults?.hive?.labels, ...input.labels };
  const env = Object.entries({ ...config.defaults?.hive?.env, ...input.env });
  const forHive: HiveConfigInput = {
    hive_id: hive.id,
    listen: hive.listen ?? (place.isFirst ? HIVE_CONFIG_DEFAULTS.listen : "127.0.0.1:0"),
    env: Object.fromEntries(env.map(([name, text]) => [name, withAbsoluteReferences(text, there)])),
    runtimes: { ...config.defaults?.hive?.runtimes, ...input.runtimes },
    beat: config.health?.beat ?? QUEEN_CONFIG_DEFAULTS.health.beat,
    health: { ...QUEEN_CONFIG_DEFAULTS.health.workers, ...config.health?.workers },
    stop: { ...QUEEN_CONFIG_DEFAULTS.stop, ...config.stop },
    shutdown: { budget: config.shutdown?.budget ?? QUEEN_CONFIG_DEFAULTS.shutdown.budget },
    ...(stateDir === null ? {} : { state_dir: stateDir }),
    ...(modelsDir === undefined ? {} : { models_dir: there(modelsDir) }),
    ...(hive.worker_ports === undefined ? {} : { worker_ports: hive.worker_ports }),
    ...(hive.ports_per_worker === undefined ? {} : { ports_per_worker: hive.ports_per_worker }),
    ...(hive.worker_host === undefined ? {} : { worker_host: hive.worker_host }),
    ...(hive.model_roots === undefined ? {} : { model_roots: hive.model_roots.map(there) }),
    ...(hive.devices === undefined ? {} : { devices: hive.devices }),
  };
  return {
    id: hive.id,
    reach,
    transport: reach === null ? "local" : (hive.transport ?? "tunnel"),
    onQueenExit: hive.on_queen_exit,
    presence: hive.presence,
    labels,
    stateDir,
    installDir: installDirOf(hive, reach, there),
    config: forHive,
  };
}

type MergedHive = HiveInput & { readonly on_queen_exit: "stop" | "keep" };

function reachOf(config: QueenConfigInput, hive: MergedHive, { base, home, sshAgent }: HivePlace): SshReach | null {
  const name = hostOf(hive);
  const target = name === "local" ? null : parseSshTarget(name);
  if (target === null) return null;
  const here = (path: string | undefined): string | null =>
    path === undefined ? null : resolvePath(base, expandHome(path, home));
  return {
    name,
    target,
    identityFile: here(hive.identity_file),
    knownHosts: here(hive.known_hosts),
    agent: sshAgent,
    home,
    limits: sshLimits(config),
  };
}

/** The limits of connections to hosts, `ssh:` over its defaults. */
export function sshLimits(config: Pick<QueenConfigInput, "ssh">): SshLimits {
  const ssh = { ...QUEEN_CONFIG_DEFAULTS.ssh, ...config.ssh };
  return {
    connectMs: parseDurationMs(ssh.connect),
    keepAliveMs: parseDurationMs(ssh.keep_alive),
    keepAlivesMissed: ssh.keep_alives_missed,
    forwardMs: parseDurationMs(ssh.forward),
    wayBackMs: parseDurationMs(ssh.way_back),
    reconnectFirstMs: parseDurationMs(ssh.reconnect_first),
    reconnectMaxMs: parseDurationMs(ssh.reconnect_max),
    sessions: ssh.sessions,
  };
}

function defaultStateDir(hiveId: string, reach: SshReach | null, { home, machineId }: HivePlace): string | null {
  return reach === null ? join(home, ".local/state/hive", `${machineId}-${hiveId}`) : null;
}

function installDirOf(hive: MergedHive, reach: SshReach | null, there: (path: string) => string): string | null {
  if (hive.install_dir !== undefined) return there(hive.install_dir);
  return reach === null ? null : INSTALL_DIR;
}

/** `${file:hf.token}` means a file beside our configuration, wherever the hive's own one is kept. */
function withAbsoluteReferences(text: string, absolute: (path: string) => string): string {
  return text.replace(/\$\{file:([^}]+)\}/g, (_, path: string) => `\${file:${absolute(path)}}`);
}
