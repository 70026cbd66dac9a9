export { type BackoffPolicy, backoffMs } from "./backoff.ts";
export { Broadcast } from "./broadcast.ts";
export { Cancellation, type CancelSignal } from "./cancellation.ts";
export { ChunkList } from "./chunk-list.ts";
export { type Clock, systemClock, untilNextRound } from "./clock.ts";
export { addToList, type ListEntry, removeFromList } from "./config/edit-list.ts";
export { type LoadConfigOptions, type LoadedConfig, loadConfig } from "./config/load-config.ts";
export type { Origin } from "./config/merge.ts";
export type { ConfigProblem } from "./config/problems.ts";
export { expandHome, redactSecrets, resolveSecrets, type SecretSources } from "./config/secrets.ts";
export { Deadline, type DisposableSignal } from "./deadline.ts";
export { errorCodeOf } from "./error-code.ts";
export { type FaultOptions, surviveFaults } from "./faults.ts";
export { isNetworkFileSystem, nameNetworkFileSystem } from "./files/network-file-system.ts";
export { ensurePrivateDir } from "./files/private-dir.ts";
export { copyAside, setAside } from "./files/set-aside.ts";
export { peekStateFile, readStateFile, readTextIfThere, type StateFileContent } from "./files/state-file.ts";
export { writeFileDurable, writeFileDurableSync } from "./files/write-durable.ts";
export { discardRest, readChunks, readJsonBody, requireJson } from "./http/body.ts";
export { ANSWER_BYTES_MAX, type CallOptions, createPeer, type Peer, type PeerOptions } from "./http/client.ts";
export type { PeerConnect } from "./http/client-agent.ts";
export { EVENT_BYTES_MAX, type EventsOptions, type PeerEvent } from "./http/client-events.ts";
export { clientSignal } from "./http/endpoint-runner.ts";
export { answerError, errorHeaders, toQhError } from "./http/error-answer.ts";
export {
  type AnswerOf,
  type Authorize,
  HANDLED,
  type Handler,
  type HandlerAnswer,
  type HandlerContext,
  type Handlers,
  type IncomingRequestFacts,
} from "./http/handler.ts";
export type { Listen } from "./http/listen.ts";
export { LoopShare } from "./http/loop-share.ts";
export { requestIdOf } from "./http/request-id.ts";
export type { MoreEndpoint } from "./http/router.ts";
export { isLoopbackName } from "./http/same-site.ts";
export { sendText } from "./http/send-text.ts";
export { type HttpLimits, type HttpServerOptions, type RunningServer, startHttpServer } from "./http/server.ts";
export { encodeSse, openSse, SSE_BUFFER_BYTES_MAX, type SseEvent, type SseWriter } from "./http/sse.ts";
export { fieldOf, parseJson } from "./json-field.ts";
export { keptConfigText, keptStartSha256 } from "./kept-start.ts";
export { type LinkedEntry, LinkedList } from "./linked-list.ts";
export { createLog, type Log, type LogOptions, silentLog } from "./log.ts";
export type { LogLevel } from "./log-line.ts";
export { MAILBOX_LENGTH_MAX, Mailbox, type MailboxOptions } from "./mailbox.ts";
export {
  type CounterMetric,
  createMetrics,
  DURATION_BUCKETS_S,
  type GaugeMetric,
  type HistogramMetric,
  type LabelValues,
  type Metrics,
} from "./metrics.ts";
export { findPortOwner, type PortOwner } from "./port-owner.ts";
export {
  isProcessAlive,
  isSameProcess,
  type ProcessIdentity,
  type ProcStat,
  parseProcStat,
  readBootId,
  readProcessIdentity,
  readProcStat,
  signalProcess,
  signalProcessGroup,
  waitForProcessEnd,
} from "./process-identity.ts";
export { onSignals, type SignalHandling, type StopFailure, StopSequence, type StopSequenceOptions } from "./stop.ts";
export { isLoopbackAddress, workerKeyOf } from "./worker-key.ts";
