import { QhError } from "@queen-and-hive/protocol";
import type { Identity } from "./identity.ts";

/** The hive that presented its token. Throws `unauthenticated` for anybody else. */
export function callingHive(identity: Identity): string {
  if (identity.kind === "hive") return identity.hiveId;
  throw new QhError("unauthenticated", "cannot take a callback without a hive's token");
}
