import { QhError } from "@queen-and-hive/protocol";
import type { HiveSettings, QueenSettings } from "../config/settings.ts";

/** The hives that a command names, or all. Throws `hive_not_found`. */
export function chooseHives({ hives }: QueenSettings, ids: readonly string[]): readonly HiveSettings[] {
  if (ids.length === 0) return hives;
  return [...new Set(ids)].map((id) => {
    const hive = hives.find((known) => known.id === id);
    if (hive !== undefined) return hive;
    const known = hives.map((one) => one.id).join(", ");
    throw new QhError(
      "hive_not_found",
      `cannot find the hive ${JSON.stringify(id)} in the configuration; there are: ${known || "none"}`,
    );
  });
}
