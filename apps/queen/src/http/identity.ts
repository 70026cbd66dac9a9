import type { Authorize } from "@queen-and-hive/daemon";
import { type Caller, QhError, unreachable } from "@queen-and-hive/protocol";
import type { KeySettings, Role } from "../config/settings.ts";
import { isSameSecret } from "../hives/hive-token.ts";

/** Who calls the queen. */
export type Identity =
  | { readonly kind: "anyone" }
  | { readonly kind: "person"; readonly name: string; readonly role: Role; readonly models: readonly string[] | null }
  | { readonly kind: "hive"; readonly hiveId: string };

/** What authorisation needs to know. */
export interface AuthorizeOptions {
  readonly keys: readonly KeySettings[];
  /** The token of each hive. */
  readonly hiveTokens: ReadonlyMap<string, string>;
}

/** Whoever can open the Unix socket, or reach a queen without keys on loopback, is admin. */
const LOCAL_ADMIN: Identity = { kind: "person", name: "local", role: "admin", models: null };

/**
 * Decides who calls. Hives always show their token; people show a key once keys are set. Throws `forbidden` for a key
 * whose role does not reach.
 */
export function createAuthorize({ keys, hiveTokens }: AuthorizeOptions): Authorize<Identity> {
  return (caller, request) => {
    switch (caller) {
      case "anyone":
        return { kind: "anyone" };
      case "hive":
        return request.token === null ? null : findHive(hiveTokens, request.token);
      case "client":
      case "reader":
      case "operator":
        if (request.viaUnixSocket || keys.length === 0) return LOCAL_ADMIN;
        return request.token === null ? null : findPerson(keys, request.token, caller);
      case "queen":
      case "worker":
        return null;
      default:
        return unreachable(caller);
    }
  };
}

/** Who a caller is in the journal. */
export function actorOf(identity: Identity): string {
  return identity.kind === "person" ? `key:${identity.name}` : identity.kind;
}

/** The models that a caller may use. */
export function allowedModels(identity: Identity): readonly string[] | "all" {
  return identity.kind === "person" && identity.models !== null ? identity.models : "all";
}

/** What a caller is called, for taking turns with others. */
export function nameOf(identity: Identity): string {
  return identity.kind === "person" ? identity.name : identity.kind;
}

const ROLES_FOR: Readonly<Record<"client" | "reader" | "operator", readonly Role[]>> = {
  client: ["inference", "admin"],
  reader: ["read", "operate", "admin"],
  operator: ["operate", "admin"],
};

function findHive(tokens: ReadonlyMap<string, string>, token: string): Identity | null {
  let found: Identity | null = null;
  // Every token is compared, so that time tells nothing about which one it was.
  for (const [hiveId, known] of tokens) if (isSameSecret(known, token)) found = { kind: "hive", hiveId };
  return found;
}

function findPerson(
  keys: readonly KeySettings[],
  token: string,
  caller: Extract<Caller, keyof typeof ROLES_FOR>,
): Identity | null {
  let found: KeySettings | null = null;
  for (const key of keys) if (isSameSecret(key.key, token)) found = key;
  if (found === null) return null;
  if (!ROLES_FOR[caller].includes(found.role)) {
    throw new QhError(
      "forbidden",
      `cannot let the key ${JSON.stringify(found.name)} do this: its role is ${found.role}, needed is ${ROLES_FOR[caller].join(" or ")}`,
    );
  }
  return { kind: "person", name: found.name, role: found.role, models: found.models };
}
