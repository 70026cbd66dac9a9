export { HIVE_CONFIG_DEFAULTS, type HiveConfigInput, hiveConfigSchema } from "./config/hive-config.ts";
export { type QueenConfigInput, queenConfigSchema } from "./config/queen-config.ts";
export { QUEEN_CONFIG_DEFAULTS } from "./config/queen-defaults.ts";
export type { ParamsOf, QueryOf, RequestOf, ResponseOf } from "./endpoint.ts";
export {
  type Caller,
  defineEndpoints,
  type EndpointDefinition,
  type EndpointTable,
  type JsonSchema,
  type ResponseForm,
  type TypedSchema,
  typed,
} from "./endpoint.ts";
export { HIVE_ENDPOINTS } from "./endpoints-hive.ts";
export { CALLBACK_ENDPOINTS, inferenceEndpoint, QUEEN_ENDPOINTS } from "./endpoints-queen.ts";
export {
  ERROR_KINDS,
  type ErrorBody,
  type ErrorKind,
  errorBody,
  type Fault,
  isErrorKind,
  QhError,
  type QhErrorOptions,
} from "./errors.ts";
export {
  type HiveId,
  ID_PATTERNS,
  newQueenId,
  newRequestId,
  newWorkerId,
  parseHiveId,
  parseQueenId,
  parseRequestId,
  parseWorkerId,
  type QueenId,
  type RequestId,
  type WorkerId,
} from "./ids.ts";
export { field, processIdentityProperties } from "./messages/common.ts";
export {
  type Capabilities,
  capabilitiesSchema,
  type HiveShutdown,
  type HiveShutdownAnswer,
  hiveShutdownAnswerSchema,
  hiveShutdownSchema,
  type WorkerStopAnswer,
  workerStopAnswerSchema,
} from "./messages/hive-control.ts";
export { type HiveEvent, hiveEventSchema, type StopStep } from "./messages/hive-events.ts";
export {
  type HiveHealth,
  type HiveIdentity,
  type HiveReady,
  type HiveStartAnswer,
  type HiveStatusAnswer,
  type HiveStopAnswer,
  hiveHealthSchema,
  hiveIdentitySchema,
  hiveReadySchema,
  hiveStartAnswerSchema,
  hiveStatusAnswerSchema,
  hiveStopAnswerSchema,
  type QueenAddress,
  type QueenClaimAnswer,
  queenAddressSchema,
  queenClaimAnswerSchema,
} from "./messages/hive-identity.ts";
export { type HiveStartRequest, hiveStartRequestSchema } from "./messages/hive-start.ts";
export {
  type CancelAnswer,
  cancelAnswerSchema,
  type OpenRequest,
  type OpenRequestList,
  openRequestListSchema,
  openRequestSchema,
  type RequestState,
} from "./messages/open-request.ts";
export { HIVE_CHECKS, type HiveFinding, hiveFindingSchema } from "./messages/preflight.ts";
export {
  HIVE_STATES,
  type HiveFate,
  type HiveList,
  type HiveRecord,
  type HiveState,
  type HiveStopRequest,
  hiveFateSchema,
  hiveListSchema,
  hiveRecordSchema,
  hiveStopRequestSchema,
  type JournalEvent,
  journalEventSchema,
  type ModelList,
  type ModelRecord,
  modelListSchema,
  modelSchema,
  type QueenHealth,
  type QueenShutdown,
  type QueenShutdownAnswer,
  queenHealthSchema,
  queenShutdownAnswerSchema,
  queenShutdownSchema,
  type VersionAnswer,
  versionSchema,
} from "./messages/queen-records.ts";
export {
  type ReadySource,
  type RuntimeRecipe,
  readySourceSchema,
  runtimeRecipeSchema,
} from "./messages/runtime-recipe.ts";
export {
  type CallbackAnswer,
  callbackAnswerSchema,
  type WorkerExited,
  type WorkerReady,
  type WorkerReadyCallback,
  workerExitedSchema,
  workerReadyCallbackSchema,
  workerReadySchema,
} from "./messages/worker-callbacks.ts";
export {
  EXIT_CAUSES,
  type ExitCause,
  WORKER_STATES,
  type WorkerExit,
  type WorkerList,
  type WorkerRecord,
  type WorkerState,
  workerExitSchema,
  workerListSchema,
  workerRecordSchema,
} from "./messages/worker-record.ts";
export {
  type RestartPolicySpec,
  restartPolicySchema,
  type SpawnRequest,
  spawnRequestSchema,
  type WorkerSpec,
  workerSpecSchema,
} from "./messages/worker-spec.ts";
export { DURATION_PATTERN, formatBytes, formatDurationMs, parseDurationMs, parseSizeBytes, SIZE_PATTERN } from "./units.ts";
export { unreachable } from "./unreachable.ts";
export {
  type Checked,
  compileValidator,
  describeProblems,
  lazyValidator,
  type Problem,
  type UnknownFields,
  type Validator,
  valueOrThrow,
} from "./validate.ts";
export { commonProtocol, PROTOCOL, type ProtocolRange } from "./version.ts";
export { COMMAND_EXIT, RESERVED_ENV_PREFIX, WORKER_ENV, WORKER_EXIT } from "./worker-environment.ts";
