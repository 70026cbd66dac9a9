import type { Row } from "../table.ts";
import { adoptionRows } from "./adoption.ts";
import { exitRows } from "./exits.ts";
import { idleRows } from "./idle.ts";
import { killRows } from "./kill-daemon.ts";
import { swapRows } from "./swap.ts";

/** How soon ends are known, what adoption and idling cost, what a swap adds, and what `kill -9` of the daemon leaves. */
export async function benchSupervision(): Promise<readonly Row[]> {
  return [...(await exitRows()), ...(await adoptionRows()), ...(await idleRows()), ...(await swapRows()), ...(await killRows())];
}
