import type { QueenConfigInput } from "@queen-and-hive/protocol";
import { freePort, freePortRange } from "../net/free-port.ts";
import type { SshGround } from "./ground.ts";
import type { SshTestHost } from "./ssh-test-host.ts";

type Hive = NonNullable<QueenConfigInput["hives"]>[number];

/** Worker ports of a hive that has to share the machine's network with others. */
const WORKER_PORTS = 20;

/** A hive for a queen's `hives:` on a host of the ground, with ports that are free there. */
export async function hiveOn(ground: SshGround, host: SshTestHost, id: string, more: Partial<Hive> = {}): Promise<Hive> {
  const address = more.transport === "direct" ? host.address : "127.0.0.1";
  // A host in a network of its own has all ports for itself.
  const isShared = host.kind === "in_process";
  const listen = `${address}:${isShared ? await freePort(address) : 9_200}`;
  const ports = isShared ? { worker_ports: (await freePortRange(WORKER_PORTS)).text } : {};
  const direct = more.transport === "direct" ? { worker_host: host.address } : {};
  return {
    id,
    host: host.url,
    identity_file: ground.key.path,
    known_hosts: ground.knownHosts,
    listen,
    // Short enough for sockets inside.
    state_dir: `~/hive-${id}`,
    ...ports,
    ...direct,
    ...more,
  };
}
