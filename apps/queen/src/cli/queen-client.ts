import { existsSync } from "node:fs";
import { join } from "node:path";
import { createPeer, isProcessAlive, type Peer } from "@queen-and-hive/daemon";
import { QhError } from "@queen-and-hive/protocol";
import { type ConfigSurroundings, loadQueenConfig, loadSettings, stateDirOf } from "../config/load.ts";
import { readQueenIdentity } from "../store/queen-identity.ts";
import type { CommonOptions } from "./program.ts";

/** Where a queen is called, and with what. */
export interface QueenPlace {
  /** `http(s)://...`, or `unix:<state_dir>/queen.sock`: who can open that is admin. */
  readonly url: string;
  readonly key: string | null;
  /** Her state directory when she is of this machine. */
  readonly stateDir: string | null;
}

/** How long a plain call may take, milliseconds. */
const CALL_MS = 10_000;
/** The longest `shutdown.budget` that a queen whose file we cannot read is expected to have, milliseconds. */
const FOREIGN_BUDGET_MS = 600_000;
/** How much longer than her own budgets the answer of a queen may take, milliseconds. */
const ANSWER_RESERVE_MS = 10_000;

/** `--url` with `QUEEN_KEY`, else the Unix socket of the configured state directory. Throws `invalid_config`. */
export function findQueen(options: CommonOptions, around: ConfigSurroundings): QueenPlace {
  const key = around.env["QUEEN_KEY"] ?? null;
  if (options.url !== undefined) return { url: options.url.replace(/\/+$/, ""), key, stateDir: null };
  const stateDir = stateDirOf(loadQueenConfig(options.config, around), around);
  return { url: `unix:${join(stateDir, "queen.sock")}`, key, stateDir };
}

/** Calls to a queen. Throws `peer_unreachable` when none runs there. */
export function openQueen(place: QueenPlace, timeoutMs: number = CALL_MS): Peer {
  requireSocket(place);
  return createPeer({ url: place.url, token: () => place.key, name: "the queen", timeoutMs, maxSockets: 4 });
}

/** How long an order that stops hives may take, milliseconds: it may have to wait for the end of one before it. */
export function stopOrderMs(options: CommonOptions, around: ConfigSurroundings): number {
  const isForeign = options.url !== undefined;
  const budgetMs = isForeign ? FOREIGN_BUDGET_MS : loadSettings(options.config, around, Date.now()).shutdown.budgetMs;
  return 2 * budgetMs + ANSWER_RESERVE_MS;
}

/** Calls to the queen of a configuration; null when none runs on its state directory. */
export function openRunningQueen(options: CommonOptions, around: ConfigSurroundings, timeoutMs: number = CALL_MS): Peer | null {
  const place = findQueen(options, around);
  return place.stateDir !== null && runsOn(place.stateDir) ? openQueen(place, timeoutMs) : null;
}

/** Throws `peer_unreachable` with what to do next when no queen runs on the state directory; a dead one leaves her socket. */
export function requireSocket({ url, stateDir }: QueenPlace): void {
  if (stateDir === null || (existsSync(url.slice("unix:".length)) && runsOn(stateDir))) return;
  throw noQueen(stateDir);
}

function runsOn(stateDir: string): boolean {
  const last = readQueenIdentity(stateDir);
  return last !== null && isProcessAlive(last);
}

/** No queen runs on a state directory: what to do next. */
export function noQueen(stateDir: string): QhError {
  return new QhError("peer_unreachable", `cannot reach a queen: none runs on ${stateDir}; start one with "queen serve"`);
}
