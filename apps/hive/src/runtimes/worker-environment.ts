import { QhError, RESERVED_ENV_PREFIX, WORKER_ENV, type WorkerSpec } from "@queen-and-hive/protocol";
import { CPU } from "../resources/device.ts";

/** What the environment of one incarnation is made of. */
export interface WorkerEnvironmentParts {
  readonly workerId: string;
  readonly stateId: string;
  readonly spec: WorkerSpec;
  readonly host: string;
  readonly ports: readonly number[];
  readonly modelPath: string;
  readonly callbackUrl: string;
  readonly callbackToken: string;
  /** What its callers must bring; null where only this machine can reach it. */
  readonly workerKey: string | null;
  /** The daemon's own environment. */
  readonly inherited: Readonly<Record<string, string | undefined>>;
  /** `env:` of the host. */
  readonly hostEnv: Readonly<Record<string, string>>;
}

/**
 * The environment of a worker: what the daemon has without our own variables, then the host's `env`, then the model's,
 * then what the worker must know. `SPT_NOENV`: vLLM and SGLang otherwise overwrite their environment (setproctitle), and
 * with it the marker that a sweep looks for.
 */
export function workerEnvironment(parts: WorkerEnvironmentParts): Readonly<Record<string, string>> {
  const { spec, ports } = parts;
  return {
    ...inheritedEnvironment(parts.inherited),
    ...parts.hostEnv,
    ...deviceVariables(spec),
    ...spec.env,
    ...keyVariables(parts),
    SPT_NOENV: "1",
    [WORKER_ENV.workerId]: parts.workerId,
    [WORKER_ENV.stateId]: parts.stateId,
    [WORKER_ENV.callbackUrl]: parts.callbackUrl,
    [WORKER_ENV.callbackToken]: parts.callbackToken,
    [WORKER_ENV.model]: spec.model.id,
    [WORKER_ENV.modelPath]: parts.modelPath,
    [WORKER_ENV.host]: parts.host,
    [WORKER_ENV.port]: String(ports[0] ?? ""),
    [WORKER_ENV.devices]: spec.devices.join(","),
    [WORKER_ENV.slots]: spec.slots === "auto" ? "" : String(spec.slots),
  };
}

/** The PATH on which a worker's program is looked up: the model's, else the host's, else the daemon's. */
export function searchPathOf(parts: Pick<WorkerEnvironmentParts, "spec" | "hostEnv" | "inherited">): string {
  return parts.spec.env["PATH"] ?? parts.hostEnv["PATH"] ?? parts.inherited["PATH"] ?? SEARCH_PATH_DEFAULT;
}

/** Refuses variables that carry identity and secrets, and what no environment can hold. `where` names the place for people. */
export function checkOwnVariables(
  env: Readonly<Record<string, string>>,
  kind: "invalid_body" | "invalid_config",
  where: string,
): void {
  for (const [name, value] of Object.entries(env)) {
    if (name.startsWith(RESERVED_ENV_PREFIX)) {
      throw new QhError(
        kind,
        `cannot set ${name} in ${where}: names that start with ${RESERVED_ENV_PREFIX} are the hive's own; use another name`,
        { param: where },
      );
    }
    if (name === "" || /[=\0]/.test(name) || value.includes("\0")) {
      throw new QhError(
        kind,
        `cannot set ${JSON.stringify(name)} in ${where}: a name must not be empty or contain "=", and no part a NUL byte`,
        { param: where },
      );
    }
  }
}

/** What a shell searches when nothing is said (environ(7)). */
const SEARCH_PATH_DEFAULT = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

function inheritedEnvironment(inherited: Readonly<Record<string, string | undefined>>): Readonly<Record<string, string>> {
  const own: Record<string, string> = {};
  for (const [name, value] of Object.entries(inherited)) {
    if (value !== undefined && !name.startsWith(RESERVED_ENV_PREFIX)) own[name] = value;
  }
  return own;
}

function keyVariables({ spec, workerKey }: WorkerEnvironmentParts): Readonly<Record<string, string>> {
  if (workerKey === null) return {};
  const { key_env } = spec.runtime;
  return { [WORKER_ENV.workerKey]: workerKey, ...(key_env === undefined ? {} : { [key_env]: workerKey }) };
}

/**
 * Hides all devices but the named ones. CUDA numbers them as nvidia-smi does only when told; ROCm's runtime takes its own
 * UUIDs (`GPU-` and 16 hexadecimal digits) or numbers.
 */
function deviceVariables({ devices, needs }: WorkerSpec): Readonly<Record<string, string>> {
  // Who wants none sees none. A host on which no GPU was found hides nothing: we may know less than the engine.
  if (needs?.devices === 0) return { CUDA_VISIBLE_DEVICES: "", HIP_VISIBLE_DEVICES: "-1" };
  const amd = devices.flatMap((device) => AMD_DEVICE.exec(device)?.groups?.["name"] ?? []);
  const nvidia = devices.filter((device) => device !== CPU && !AMD_DEVICE.test(device));
  return {
    ...(nvidia.length === 0 ? {} : { CUDA_DEVICE_ORDER: "PCI_BUS_ID", CUDA_VISIBLE_DEVICES: nvidia.join(",") }),
    ...(amd.length === 0 ? {} : { ROCR_VISIBLE_DEVICES: amd.join(",") }),
  };
}

/** A device without a UUID of its own is known by its number: `AMD-0`. */
const AMD_DEVICE = /^(?:AMD-(?=[0-9]+$))?(?<name>GPU-[0-9a-f]{16}|[0-9]+)$/;
