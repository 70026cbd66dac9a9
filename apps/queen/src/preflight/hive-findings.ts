import {
  commonProtocol,
  compileValidator,
  type HiveFinding,
  type HiveStatusAnswer,
  hiveStatusAnswerSchema,
  type ProtocolRange,
} from "@queen-and-hive/protocol";
import { fail, ok, warn } from "./finding.ts";
import type { ProbeReport } from "./probe-report.ts";

/** Who asks. */
export interface AskingQueen {
  /** Null when no queen has ever run here. */
  readonly queenId: string | null;
  readonly version: string;
  readonly protocol: ProtocolRange;
}

const checkStatus = compileValidator<HiveStatusAnswer>(hiveStatusAnswerSchema, "ignore");

/** The daemon's port, the hive program and the daemon that runs. `port` 0 means any. */
export function hiveFindings(report: ProbeReport, port: number, queen: AskingQueen): readonly HiveFinding[] {
  return [...(port === 0 ? [] : [portFinding(report, port)]), ...programFindings(report, queen)];
}

function portFinding({ port: taken, identityPid }: ProbeReport, port: number): HiveFinding {
  if (taken === null) return ok("port", `${port} is free`);
  if (taken.pid !== null && taken.pid === identityPid)
    return ok("port", `${port} is taken by this hive itself, process ${taken.pid}`);
  const who = taken.pid === null ? `a process of ${taken.user}` : `process ${taken.pid} of ${taken.user} (${taken.command})`;
  return fail("port", `${port} is taken by ${who}`, "end that process, or give this hive another listen");
}

function programFindings({ hive }: ProbeReport, queen: AskingQueen): readonly HiveFinding[] {
  switch (hive.kind) {
    case "unasked":
      return [];
    case "missing":
      return [ok("hive", "not installed yet")];
    case "failed":
      return [fail("hive", `the program there does not run: ${hive.complaint}`, "move it away, then install the hive again")];
    case "answered": {
      if (!/^hive [0-9]/.test(hive.version)) {
        return [
          fail(
            "hive",
            `the program there is no hive: it says ${JSON.stringify(hive.version)}`,
            "move it away, or set install_dir",
          ),
        ];
      }
      return daemonFindings(hive.version, hive.status, queen);
    }
  }
}

function daemonFindings(version: string, statusLine: string | null, queen: AskingQueen): readonly HiveFinding[] {
  const status = parseStatus(statusLine);
  if (status === null) return [warn("hive", `${version}, of an unknown status`, `run "hive status" there`)];
  const { identity, owner, state } = status;
  if (owner !== null && queen.queenId !== null && owner !== queen.queenId) {
    return [
      fail("hive", `it belongs to another queen, ${owner}`, "give this hive a state_dir of its own, or stop it with that queen"),
    ];
  }
  if (identity === null) return [ok("hive", `${version}, not running`)];
  const running = `${state}: process ${identity.pid}, version ${identity.version}, protocol ${identity.protocol.min} to ${identity.protocol.max}`;
  if (commonProtocol(queen.protocol, identity.protocol) === null) {
    const ours = `${queen.protocol.min} to ${queen.protocol.max}`;
    return [
      fail("hive", running, `this queen speaks protocol ${ours}: stop the hive, so that it starts as the version of this queen`),
    ];
  }
  if (state === "mute") return [warn("hive", running, "it does not answer: look at its log")];
  if (identity.version !== queen.version) {
    return [warn("hive", running, `this queen is version ${queen.version}: restart the hive to bring it to that`)];
  }
  return [ok("hive", running)];
}

function parseStatus(line: string | null): HiveStatusAnswer | null {
  try {
    const checked = checkStatus(JSON.parse(line ?? ""));
    return checked.ok ? checked.value : null;
  } catch {
    return null;
  }
}
