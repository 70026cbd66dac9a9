import type { Clock, Log, RunningServer } from "@queen-and-hive/daemon";
import { QhError, type QueenAddress } from "@queen-and-hive/protocol";
import type { HiveSettings } from "../config/settings.ts";
import type { Host } from "../hosts/host.ts";
import { SshHost } from "../hosts/ssh-host.ts";
import { createNetworkTransport, type HiveTransport } from "./transport.ts";
import { Tunnel } from "./tunnel.ts";

/** Where callbacks arrive. */
export interface CallbackWays {
  /** The listener of this machine's hive. */
  readonly localUrl: () => string;
  /** The listener of direct hives; null while there is none. */
  readonly directUrl: () => string | null;
  /** Starts a server without a listener for the callbacks of one hive. */
  readonly serve: (hiveId: string) => Promise<RunningServer>;
}

/** What a transport needs to know. */
export interface TransportOptions {
  readonly hive: HiveSettings;
  readonly host: Host;
  /** Who we are; the address in it is not used. */
  readonly queen: () => QueenAddress;
  readonly callbacks: CallbackWays;
  readonly clock: Clock;
  readonly log: Log;
}

/** The way that a hive's configuration asks for; nothing is opened yet. */
export function createTransport({ hive, host, queen, callbacks, clock, log }: TransportOptions): HiveTransport {
  if (hive.transport === "tunnel" && host instanceof SshHost)
    return new Tunnel({ host, hive, queen, serveCallbacks: () => callbacks.serve(hive.id), clock, log });
  if (hive.transport === "direct") {
    return createNetworkTransport(() => ({ ...queen(), queen_url: requireUrl(hive.id, callbacks.directUrl()) }));
  }
  return createNetworkTransport(() => ({ ...queen(), queen_url: callbacks.localUrl() }));
}

function requireUrl(hiveId: string, url: string | null): string {
  if (url !== null) return url;
  throw new QhError("invalid_config", `cannot say where the direct hive ${hiveId} calls back: set hive_listen`);
}
