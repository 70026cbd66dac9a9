import type { HiveFinding } from "@queen-and-hive/protocol";
import { ok, warn } from "./finding.ts";
import type { ProbeReport } from "./probe-report.ts";

/** Inference servers: those that the configuration names, and those that lie about. `runtimes` are the configured names, in order. */
export function engineFindings({ bins, engines }: ProbeReport, runtimes: readonly string[]): readonly HiveFinding[] {
  const configured = bins.flatMap(({ index, found, bin }) => {
    const name = runtimes[index];
    if (name === undefined) return [];
    if (found) return [ok("engine", `${name}: ${bin}`)];
    return [warn("engine", `${name}: there is no program ${bin}`, `install it there, or change runtimes.${name}.bin`)];
  });
  const others = [...new Set(engines.map(({ name }) => name))]
    .filter((name) => !runtimes.includes(name))
    .map((name) =>
      foundFinding(
        name,
        engines.filter((engine) => engine.name === name),
      ),
    );
  const findings = [...configured, ...others];
  return findings.length === 0 ? [ok("engine", "none found; the embedded one needs none")] : findings;
}

function foundFinding(name: string, found: ProbeReport["engines"]): HiveFinding {
  const onPath = found.find((engine) => engine.onPath);
  if (onPath !== undefined) return ok("engine", `${name}: ${onPath.path}`);
  const paths = found.map(({ path }) => path);
  return warn(
    "engine",
    `${name}: ${paths.join(", ")}, not on the hive's PATH`,
    `set runtimes.${name}.bin of this hive to ${paths[0] ?? "it"}`,
  );
}
