import { isLoopbackAddress } from "@queen-and-hive/daemon";
import type { Problem, QueenConfigInput } from "@queen-and-hive/protocol";
import { hostOf } from "./resolve-hive.ts";
import { parseSshTarget, SSH_TARGET_FORM } from "./ssh-target.ts";

/** What a hive's `host:` and `transport:` need that a schema cannot say. */
export function hostProblems(config: QueenConfigInput, index: number): Problem[] {
  const hive = config.hives?.[index];
  if (hive === undefined) return [];
  const path = `/hives/${index}`;
  const merged = { ...config.defaults?.hive, ...hive };
  if (hostOf(hive) === "local") return [];
  if (parseSshTarget(hostOf(hive)) === null) return [{ path: `${path}/host`, expected: `must be ${SSH_TARGET_FORM}` }];
  const problems: Problem[] = [];
  for (const key of ["state_dir", "install_dir", "models_dir"] as const) {
    const value = merged[key];
    if (value !== undefined && !isAbsoluteThere(value))
      problems.push({ path: `${path}/${key}`, expected: "must be absolute or begin with ~/, it is a path of that host" });
  }
  if (merged.transport === "direct") problems.push(...directProblems(config, path, merged));
  return problems;
}

/** Engines on a direct hive must be told where to listen, or nobody reaches them. */
export function directRuntimeProblems(config: QueenConfigInput): Problem[] {
  const direct = (config.hives ?? []).filter((hive) => isDirect(config, hive)).map(({ id }) => id);
  if (direct.length === 0) return [];
  return Object.entries(config.runtimes ?? {}).flatMap(([name, { command }]) => {
    const models = (config.models ?? []).filter((model) => (model.runtime ?? config.defaults?.model?.runtime) === name);
    const mayGoThere = models.some(({ place }) => place?.hives === undefined || place.hives.some((id) => direct.includes(id)));
    if (command === undefined || !mayGoThere || command.some((word) => word.includes("{host}"))) return [];
    const path = `/runtimes/${name.replaceAll("~", "~0").replaceAll("/", "~1")}/command`;
    return [{ path, expected: `must contain {host}, since its models may run on the direct hive ${direct.join(" or ")}` }];
  });
}

function isDirect(config: QueenConfigInput, hive: NonNullable<QueenConfigInput["hives"]>[number]): boolean {
  return hostOf(hive) !== "local" && { ...config.defaults?.hive, ...hive }.transport === "direct";
}

/** Whether `host:port` can be reached from its own machine only. */
export function isLoopbackListen(address: string): boolean {
  return isLoopbackHost(hostPart(address));
}

type MergedHive = Pick<NonNullable<QueenConfigInput["hives"]>[number], "listen" | "worker_host">;

function directProblems(config: QueenConfigInput, path: string, hive: MergedHive): Problem[] {
  const problems: Problem[] = [];
  if (hive.listen === undefined || isLoopbackListen(hive.listen) || isNoAddress(hostPart(hive.listen))) {
    const expected = "must be an address that this machine can reach, such as 10.0.0.2:9200, for transport: direct";
    problems.push({ path: `${path}/listen`, expected });
  }
  if (hive.worker_host === undefined || isLoopbackHost(hive.worker_host) || isNoAddress(hive.worker_host)) {
    const expected = "must be the address under which this machine reaches the host's engines, for transport: direct";
    problems.push({ path: `${path}/worker_host`, expected });
  }
  if (config.hive_listen === undefined || isLoopbackListen(config.hive_listen) || isNoAddress(hostPart(config.hive_listen))) {
    const expected = "must be an address of this machine that direct hives can reach, such as 10.0.0.1:8081";
    problems.push({ path: "/hive_listen", expected });
  }
  return problems;
}

function hostPart(address: string): string {
  return address.slice(0, address.lastIndexOf(":"));
}

function isAbsoluteThere(path: string): boolean {
  return path.startsWith("/") || path.startsWith("~/");
}

function isLoopbackHost(text: string): boolean {
  return isLoopbackAddress(text.replace(/^\[|\]$/g, "").toLowerCase());
}

/** Listening everywhere says nothing of how one is reached. */
function isNoAddress(host: string): boolean {
  return host === "0.0.0.0" || host === "::" || host === "[::]";
}
