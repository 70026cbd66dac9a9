import type { Peer } from "@queen-and-hive/daemon";
import { COMMAND_EXIT, type HiveRecord, QUEEN_ENDPOINTS, type QueenHealth } from "@queen-and-hive/protocol";
import type { ConfigSurroundings } from "../config/load.ts";
import { formatHives } from "./hive-table.ts";
import type { CommonOptions } from "./program.ts";
import { findQueen, openQueen } from "./queen-client.ts";
import { terminalColumns, watch } from "./watch.ts";

/** `queen status`: her health and her hives, once or again and again. */
export async function status(options: CommonOptions & { readonly watch?: boolean }, around: ConfigSurroundings): Promise<number> {
  await using queen = openQueen(findQueen(options, around));
  const look = async (): Promise<string> => {
    const { health, hives } = await ask(queen);
    if (options.json === true) return JSON.stringify({ ...health, hives });
    return `${headline(health)}\n\n${formatHives(hives, Date.now(), terminalColumns())}`;
  };
  if (options.watch === true) await watch(look, { asJson: options.json === true });
  else process.stdout.write(`${await look()}\n`);
  return COMMAND_EXIT.done;
}

async function ask(queen: Peer): Promise<{ readonly health: QueenHealth; readonly hives: readonly HiveRecord[] }> {
  const [health, { hives }] = await Promise.all([queen.call(QUEEN_ENDPOINTS.getHealth), queen.call(QUEEN_ENDPOINTS.listHives)]);
  return { health, hives };
}

function headline(health: QueenHealth): string {
  const { version = "", status: state, workers = {}, upstreams = {} } = health;
  const used = Object.keys(upstreams).length === 0 ? "" : `; upstreams: ${counted(upstreams)}`;
  return `queen ${version}: ${state}; workers: ${counted(workers)}${used}`;
}

function counted(counts: Readonly<Record<string, number>>): string {
  return (
    Object.entries(counts)
      .map(([state, count]) => `${count} ${state}`)
      .join(", ") || "none"
  );
}
