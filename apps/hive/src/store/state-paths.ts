import { join } from "node:path";

/** Where everything of one hive lies in its state directory. */
export interface StatePaths {
  readonly dir: string;
  /** The kept configuration; it names secrets, never holds the token. */
  readonly config: string;
  readonly secretsDir: string;
  readonly token: string;
  /** Who runs here, written by atomic rename before the hand-shake; may be of a dead daemon, so it is always checked. */
  readonly identity: string;
  readonly epoch: string;
  readonly stateId: string;
  readonly owner: string;
  readonly sequence: string;
  /** Held by a command that starts or stops, for its whole life. */
  readonly startLock: string;
  /** Held by the daemon, for its whole life. */
  readonly daemonLock: string;
  readonly logsDir: string;
  readonly log: string;
  /** What the daemon writes to stdout and stderr: crashes, and what libraries say. */
  readonly outputLog: string;
  readonly outboxDir: string;
  readonly outbox: string;
  /** Messages that the queen refused for good. */
  readonly refused: string;
  readonly workersDir: string;
}

/** The layout of a state directory. */
export function statePaths(dir: string): StatePaths {
  const at = (...parts: readonly string[]): string => join(dir, ...parts);
  return {
    dir,
    config: at("hive.json"),
    secretsDir: at("secrets"),
    token: at("secrets", "token"),
    identity: at("identity.json"),
    epoch: at("epoch.json"),
    stateId: at("state-id"),
    owner: at("queen.json"),
    sequence: at("sequence.json"),
    startLock: at("start.lock"),
    daemonLock: at("daemon.lock"),
    logsDir: at("logs"),
    log: at("logs", "hive.log"),
    outputLog: at("logs", "output.log"),
    outboxDir: at("outbox"),
    outbox: at("outbox", "outbox.jsonl"),
    refused: at("outbox", "refused.jsonl"),
    workersDir: at("workers"),
  };
}
