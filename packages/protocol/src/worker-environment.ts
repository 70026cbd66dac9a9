/** The names of the variables from which a worker learns everything; a runtime turns them into flags of its server. */
export const WORKER_ENV = {
  workerId: "HIVE_WORKER_ID",
  stateId: "HIVE_STATE_ID",
  callbackUrl: "HIVE_CALLBACK_URL",
  callbackToken: "HIVE_CALLBACK_TOKEN",
  workerKey: "HIVE_WORKER_KEY",
  model: "HIVE_MODEL",
  modelPath: "HIVE_MODEL_PATH",
  host: "HIVE_HOST",
  port: "HIVE_PORT",
  devices: "HIVE_DEVICES",
  slots: "HIVE_SLOTS",
} as const;

/** The prefix that an operator's `env:` may not set: these names carry identity and secrets. */
export const RESERVED_ENV_PREFIX = "HIVE_";

/** Exit codes of our own worker, which the hive turns into causes. */
export const WORKER_EXIT = {
  modelMissing: 66,
  modelInvalid: 65,
  runtimeMissing: 69,
  portInUse: 76,
  badConfiguration: 78,
} as const;

/** Exit codes of the commands: done, failed, misused, a lock is taken (flock's -E), bad configuration (EX_CONFIG). */
export const COMMAND_EXIT = { done: 0, failed: 1, misused: 2, lockTaken: 75, badConfiguration: 78 } as const;
