import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isProcessAlive } from "@queen-and-hive/daemon";
import { QUEEN_ENDPOINTS, type WorkerRecord } from "@queen-and-hive/protocol";
import { programCommand } from "../processes/surroundings.ts";
import type { TestQueen } from "../queen/test-queen.ts";
import type { SshGround, SshGroundOptions } from "./ground.ts";

/** How a show is given. */
export interface TwoHostsShow {
  /** Hears of each step. */
  readonly say: (line: string) => void;
  /** The executable that is installed on the hosts; a small stand-in that starts this checkout's hive when null. */
  readonly executable: string | null;
  readonly kind?: SshGroundOptions["kind"];
}

/** What a list says of a process. */
type Listed = Pick<WorkerRecord, "pid" | "start_time" | "boot_id">;

/** A folder as `npm run build:hive` makes it. */
export function installFolder({ folder }: SshGround, executable: string | null): string {
  const from = join(folder, "dist");
  mkdirSync(from);
  const file = join(from, `hive-linux-${process.arch}`);
  const words = programCommand("hive").map((word) => `'${word}'`);
  if (executable === null) writeFileSync(file, `#!/bin/sh\nexec ${words.join(" ")} "$@"\n`, { mode: 0o755 });
  else copyFileSync(executable, file);
  return from;
}

/** Asks a chat and returns its text; throws unless it was answered. */
export async function answerOf(queen: TestQueen, model: string, content: string, more: object = {}): Promise<string> {
  const response = await fetch(`${queen.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model, messages: [{ role: "user", content }], ...more }),
  });
  const text = await response.text();
  assert.equal(response.status, 200, text);
  return text;
}

/** `queen down`, and the proof: each listed process is gone by identity, and a search of the hosts finds nothing of ours. */
export async function downAndProve(
  queen: TestQueen,
  { hosts }: SshGround,
  workers: readonly Listed[],
  say: TwoHostsShow["say"],
): Promise<void> {
  const { hives } = await queen.peer.call(QUEEN_ENDPOINTS.listHives);
  const processes: readonly Listed[] = [...hives, ...workers];
  say(`queen down, for ${hives.length} hives and ${workers.length} workers`);
  const down = await queen.command(["down"]);
  assert.equal(down.exitCode, 0, `${down.stdout}${down.stderr}`);
  say(down.stdout.trim());
  for (const { pid, start_time: startTime, boot_id: bootId } of processes) {
    assert.ok(pid !== null && startTime !== null && bootId !== null, "what was listed has a process");
    assert.equal(isProcessAlive({ pid, start_time: startTime, boot_id: bootId }), false, `process ${pid} is gone`);
  }
  for (const host of hosts) assert.deepEqual(host.processes(), [], `nothing of ours is left on ${host.url}`);
  say(`nothing of ours is left: ${processes.length} processes are gone by identity, and the hosts were searched`);
}
