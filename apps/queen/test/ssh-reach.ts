import type { SshGround, SshTestHost } from "@queen-and-hive/dev-env";
import { sshLimits } from "../src/config/resolve-hive.ts";
import type { SshReach } from "../src/config/ssh-reach.ts";
import { parseSshTarget } from "../src/config/ssh-target.ts";

/** The defaults of `ssh:`. */
export const LIMITS = sshLimits({});

/** How a queen of the test reaches a host of its ground. */
export function reachOf(ground: SshGround, host: SshTestHost, more: Partial<SshReach> = {}): SshReach {
  const target = parseSshTarget(host.url);
  if (target === null) throw new Error(`a test host's address can be read: ${host.url}`);
  return {
    name: host.url,
    target,
    identityFile: ground.key.path,
    knownHosts: ground.knownHosts,
    agent: null,
    home: ground.folder,
    limits: LIMITS,
    ...more,
  };
}
