import { createInterface } from "node:readline/promises";
import { Deadline } from "@queen-and-hive/daemon";
import { QhError } from "@queen-and-hive/protocol";
import type { SshReach } from "../config/ssh-reach.ts";
import { createHost } from "../hosts/create-host.ts";
import { trustHostKey, type UnknownHostKey, unknownHostKeyOf } from "../hosts/trust-host-key.ts";

/** How an unknown host key is decided on. */
export interface HostKeyQuestion {
  /** The fingerprint that the key must have, when a program has brought it. */
  readonly expected: string | null;
  readonly deadlineMs: number;
}

/**
 * Connects once; an unknown host key is written into known_hosts when a person at the terminal says yes, or when it is the
 * expected one. Throws `host_key_refused` otherwise, and never asks for a changed or revoked key.
 */
export async function confirmHostKey(reach: SshReach | null, { expected, deadlineMs }: HostKeyQuestion): Promise<void> {
  // Of its own: a kept connection waits a while after a refusal.
  await using host = createHost(reach);
  try {
    await host.facts(Deadline.in(deadlineMs));
  } catch (error) {
    const key = error instanceof QhError ? unknownHostKeyOf(error) : null;
    // What else is wrong with the host is for the look at it to say.
    if (key === null && error instanceof QhError && error.kind !== "host_key_refused") return;
    if (key === null || !(await isTrusted(host.name, key, expected))) throw error;
    trustHostKey(key);
    process.stderr.write(`${host.name} is known from now on, in ${key.file}\n`);
  }
}

const COMPARE = "Compare it with what the machine itself says:\n  ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub";

async function isTrusted(name: string, { fingerprint, type }: UnknownHostKey, expected: string | null): Promise<boolean> {
  if (expected !== null) return fingerprint === expected;
  if (!process.stdin.isTTY || !process.stderr.isTTY) return false;
  process.stderr.write(`The host key of ${name} is not known yet:\n  ${type} ${fingerprint}\n${COMPARE}\n`);
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await terminal.question("Is it the same? [y/N] ");
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    terminal.close();
  }
}
