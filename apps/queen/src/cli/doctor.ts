import { systemClock } from "@queen-and-hive/daemon";
import { COMMAND_EXIT, type HiveFinding } from "@queen-and-hive/protocol";
import { type ConfigSurroundings, loadSettings } from "../config/load.ts";
import type { HiveSettings, QueenSettings } from "../config/settings.ts";
import { createHost } from "../hosts/create-host.ts";
import { preflight } from "../preflight/preflight.ts";
import { readQueenIdentity } from "../store/queen-identity.ts";
import { chooseHives } from "./choose-hives.ts";
import { formatFindings } from "./findings-text.ts";
import type { CommonOptions } from "./program.ts";
import { terminalColumns } from "./watch.ts";

/** What was found on the host of one hive. */
interface Diagnosis {
  readonly hive_id: string;
  readonly host: string;
  readonly findings: readonly HiveFinding[];
}

/**
 * `queen doctor [HIVE...]`: looks at the hosts of hives, all at once, with or without a running queen; changes nothing there.
 * 1 when a hive could not be started.
 */
export async function doctor(
  ids: readonly string[],
  options: Pick<CommonOptions, "config" | "json">,
  around: ConfigSurroundings,
): Promise<number> {
  const settings = loadSettings(options.config, around, Date.now());
  const queenId = readQueenIdentity(settings.stateDir)?.queen_id ?? null;
  const diagnoses = await Promise.all(
    chooseHives(settings, ids).map(async (hive) => {
      const diagnosis = await look(hive, settings, queenId);
      if (options.json !== true) process.stdout.write(`${text(diagnosis)}\n\n`);
      return diagnosis;
    }),
  );
  if (options.json === true) process.stdout.write(`${JSON.stringify({ hives: diagnoses })}\n`);
  return diagnoses.some(isUnfit) ? COMMAND_EXIT.failed : COMMAND_EXIT.done;
}

async function look(hive: HiveSettings, settings: QueenSettings, queenId: string | null): Promise<Diagnosis> {
  await using host = createHost(hive.reach);
  const findings = await preflight({ host, hive, limits: settings.preflight, queenId, askHive: true, clock: systemClock });
  return { hive_id: hive.id, host: host.name, findings };
}

function isUnfit({ findings }: Diagnosis): boolean {
  return findings.some(({ level }) => level === "fail");
}

function text({ hive_id: hiveId, host, findings }: Diagnosis): string {
  return formatFindings(`${hiveId} (${host})`, findings, terminalColumns());
}
