import { chmodSync, lstatSync, rmSync } from "node:fs";
import type { Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { QhError } from "@queen-and-hive/protocol";
import { errorCodeOf } from "../error-code.ts";
import { findPortOwner } from "../port-owner.ts";

/**
 * Where a server listens: a TCP address (port 0: any free one), a Unix socket that only its owner can open (0600), or
 * nowhere: then it is handed its connections one by one, and `fed` names it in messages.
 */
export type Listen = { readonly host: string; readonly port: number } | { readonly path: string } | { readonly fed: string };

/** Where a server really listens. */
export interface Bound {
  /** `http://host:port` or `unix:/absolute/path`. */
  readonly url: string;
  readonly port: number | null;
}

/** Starts listening. Throws `port_in_use` (naming the owner where that can be known) or `invalid_config`. */
export async function bind(server: Server, listen: Listen): Promise<Bound> {
  if ("fed" in listen) return { url: listen.fed, port: null };
  if ("path" in listen) {
    await removeStaleSocket(listen.path);
    await listening(server, () => server.listen(listen.path), listen);
    chmodSync(listen.path, 0o600);
    return { url: `unix:${listen.path}`, port: null };
  }
  await listening(server, () => server.listen(listen.port, listen.host), listen);
  const { port } = addressOf(server);
  const host = listen.host.includes(":") ? `[${listen.host}]` : listen.host;
  return { url: `http://${host}:${port}`, port };
}

function listening(server: Server, start: () => void, listen: Exclude<Listen, { readonly fed: string }>): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (error: Error): void => {
      server.off("listening", onListening);
      reject(listenFailed(error, listen));
    };
    const onListening = (): void => {
      server.off("error", onError);
      resolve();
    };
    server.once("error", onError).once("listening", onListening);
    start();
  });
}

function addressOf(server: Server): AddressInfo {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("a TCP server that listens has an address");
  return address;
}

function listenFailed(cause: Error, listen: Exclude<Listen, { readonly fed: string }>): QhError {
  const code = errorCodeOf(cause) ?? "unknown error";
  const place = "path" in listen ? listen.path : `${listen.host}:${listen.port}`;
  if (code !== "EADDRINUSE") {
    const why = WHY_NOT[code] ?? code;
    return new QhError("invalid_config", `cannot listen on ${place}: ${why}`, { cause, details: { code } });
  }
  const owner = "path" in listen ? null : findPortOwner(listen.port);
  const by = owner === null ? "by another process" : `by process ${owner.pid} (${owner.command})`;
  return new QhError("port_in_use", `cannot listen on ${place}: it is in use ${by}; stop that or choose another`, {
    cause,
    details: { ...("path" in listen ? {} : { port: listen.port }), ...(owner === null ? {} : { owner }) },
  });
}

/** The system's codes that people meet, with what to do. */
const WHY_NOT: Readonly<Record<string, string>> = {
  EADDRNOTAVAIL: "this machine has no such address (EADDRNOTAVAIL); `ip address` shows those that it has",
  EACCES: "it may not be taken by this user (EACCES); choose a port above 1023",
  ENOTFOUND: "there is no host of that name (ENOTFOUND); write an address of this machine",
};

/** A socket file outlives a killed server; it is removed only when it is a socket and nobody answers on it. */
async function removeStaleSocket(path: string): Promise<void> {
  const status = lstatSync(path, { throwIfNoEntry: false });
  if (status === undefined || !status.isSocket()) return;
  const answers = await new Promise<boolean>((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("close", () => socket.destroy()).once("connect", () => socket.destroy());
  });
  if (!answers) rmSync(path, { force: true });
}
