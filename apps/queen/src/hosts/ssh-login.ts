import { readFileSync } from "node:fs";
import { errorCodeOf } from "@queen-and-hive/daemon";
import { QhError } from "@queen-and-hive/protocol";
import type { AnyAuthMethod } from "ssh2";
import type { SshReach } from "../config/ssh-reach.ts";
import { NamedKeysAgent } from "./named-keys-agent.ts";
import { publicHalfOf } from "./public-half.ts";
import type { SshRoute } from "./ssh-route.ts";

/** The ways in that are tried, in their order, and their names for people. */
export interface SshLogin {
  readonly methods: AnyAuthMethod[];
  readonly tried: readonly string[];
}

/** A server ends a login after so many keys (sshd_config(5), MaxAuthTries), those of the agent included. */
const KEY_FILES_MAX = 4;

/**
 * Keys from files, then the agent's, first those that the files name; nothing is ever asked for. A file with a passphrase is left to the agent. Throws
 * `host_login_refused` for an identity file of the configuration that cannot be read, or when there is no way in at all.
 */
export function sshLogin(reach: SshReach, route: SshRoute, isUsable: (key: Buffer) => boolean): SshLogin {
  const methods: AnyAuthMethod[] = [];
  const tried: string[] = [];
  const offered = new Set<string>();
  for (const file of route.identityFiles.slice(0, KEY_FILES_MAX)) {
    const key = readKey(reach, file);
    if (key === null) continue;
    if (!isUsable(key)) {
      tried.push(`${file} (it has a passphrase or is no private key: add it to the agent)`);
      continue;
    }
    methods.push({ type: "publickey", username: route.user, key });
    tried.push(file);
    offered.add(publicHalfOf(file) ?? file);
  }
  if (route.agent !== null) {
    const named = new Set(route.identityFiles.flatMap((file) => publicHalfOf(file) ?? []));
    const agent = new NamedKeysAgent(route.agent, { named, offered, namedOnly: route.identitiesOnly });
    methods.push({ type: "agent", username: route.user, agent });
    tried.push(route.identitiesOnly ? "the agent's keys that IdentitiesOnly allows" : "the agent's keys");
  }
  if (methods.length > 0) return { methods, tried };
  const why = tried.length === 0 ? "there is no key in ~/.ssh and no agent runs" : `unusable: ${tried.join(", ")}`;
  throw new QhError(
    "host_login_refused",
    `cannot log in to ${reach.name} as ${route.user}: ${why}; make a key with ssh-keygen, bring it there with ssh-copy-id, or name it as identity_file`,
  );
}

function readKey({ name, identityFile }: SshReach, file: string): Buffer | null {
  try {
    return readFileSync(file);
  } catch (cause) {
    if (file !== identityFile) return null;
    const code = errorCodeOf(cause) ?? "it cannot be read";
    throw new QhError("host_login_refused", `cannot log in to ${name}: its identity_file ${file}: ${code}`, { cause });
  }
}
