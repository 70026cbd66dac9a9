/** Whose fault an error is: the caller's, ours, the engine's, or the machine's surroundings. */
export type Fault = "caller" | "ours" | "engine" | "environment";

interface ErrorKindDefinition {
  readonly status: number;
  /** OpenAI's `error.type`. */
  readonly type: "invalid_request_error" | "authentication_error" | "permission_error" | "rate_limit_error" | "server_error";
  readonly fault: Fault;
  /** Whether the same request may succeed later; false becomes `x-should-retry: false`. */
  readonly retryable: boolean;
}

const define = <Kinds extends Record<string, ErrorKindDefinition>>(kinds: Kinds): Kinds => kinds;
const caller = (status: number): ErrorKindDefinition => ({
  status,
  type: "invalid_request_error",
  fault: "caller",
  retryable: false,
});

/**
 * Every kind of expected failure, with the HTTP status it becomes. `error.code` on the wire is the kind.
 * Status meanings: RFC 9110; the shape: OpenAI's API reference.
 */
export const ERROR_KINDS = define({
  // What the caller can mend.
  malformed_json: caller(400),
  invalid_body: caller(400),
  invalid_query: caller(400),
  invalid_header: caller(400),
  model_required: caller(400),
  task_mismatch: caller(400),
  /** OpenAI's own code for a prompt that does not fit; clients shorten the chat when they see it. */
  context_length_exceeded: caller(400),
  invalid_config: caller(400),
  unsupported_media_type: caller(415),
  body_too_large: caller(413),
  headers_too_large: caller(431),
  /** The request expects something of us that we do not do (RFC 9110, 10.1.1). */
  expectation_failed: caller(417),
  method_not_allowed: caller(405),
  route_not_found: caller(404),
  model_not_found: caller(404),
  worker_not_found: caller(404),
  hive_not_found: caller(404),
  request_not_found: caller(404),
  cross_site_request: { status: 403, type: "permission_error", fault: "caller", retryable: false },
  unauthenticated: { status: 401, type: "authentication_error", fault: "caller", retryable: false },
  forbidden: { status: 403, type: "permission_error", fault: "caller", retryable: false },

  // Two parties disagree about who or what is meant.
  spec_conflict: caller(409),
  owned_by_another_queen: caller(409),
  stale_epoch: caller(409),
  stale_sequence: caller(409),
  stale_incarnation: caller(409),
  already_running: caller(409),
  protocol_mismatch: caller(409),
  worker_gone: caller(410),

  // What a client waits for in vain.
  /** The request itself did not arrive in time. */
  request_timeout: { status: 408, type: "invalid_request_error", fault: "caller", retryable: true },
  request_cancelled: { status: 503, type: "server_error", fault: "environment", retryable: false },
  queue_full: { status: 429, type: "rate_limit_error", fault: "environment", retryable: true },
  queue_timeout: { status: 504, type: "server_error", fault: "environment", retryable: true },
  load_timeout: { status: 504, type: "server_error", fault: "environment", retryable: true },
  deadline_exceeded: { status: 504, type: "server_error", fault: "caller", retryable: false },
  client_closed: { status: 499, type: "invalid_request_error", fault: "caller", retryable: false },
  shutting_down: { status: 503, type: "server_error", fault: "environment", retryable: true },
  no_hive_available: { status: 503, type: "server_error", fault: "environment", retryable: true },
  model_unavailable: { status: 503, type: "server_error", fault: "environment", retryable: true },

  // The engine behind us.
  engine_unreachable: { status: 502, type: "server_error", fault: "engine", retryable: true },
  engine_failed: { status: 502, type: "server_error", fault: "engine", retryable: true },
  engine_timeout: { status: 504, type: "server_error", fault: "engine", retryable: true },

  // Starting and stopping processes.
  spawn_failed: { status: 503, type: "server_error", fault: "environment", retryable: false },
  /** A worker would not fit on a hive even if nothing else ran there: making room does not help. */
  model_too_large: { status: 503, type: "server_error", fault: "environment", retryable: false },
  /** A device that is named, or as many as are wanted, are not on the host. */
  device_missing: { status: 503, type: "server_error", fault: "environment", retryable: false },
  /**
   * A hive has no room for a worker. `details` may carry `needed_bytes` and `free_bytes` of the device that comes closest, how
   * many devices are wanted (`devices_wanted`), and how much is missing on each that could be among them if nobody else were there (`missing_bytes`, by id).
   */
  insufficient_memory: { status: 503, type: "server_error", fault: "environment", retryable: true },
  runtime_unavailable: { status: 503, type: "server_error", fault: "environment", retryable: false },
  model_missing: { status: 503, type: "server_error", fault: "environment", retryable: false },
  port_in_use: { status: 503, type: "server_error", fault: "environment", retryable: true },
  start_timeout: { status: 503, type: "server_error", fault: "environment", retryable: true },
  stop_failed: { status: 503, type: "server_error", fault: "environment", retryable: true },
  host_unreachable: { status: 503, type: "server_error", fault: "environment", retryable: true },
  /** The machine shows another host key than the one that is known, or none is known. */
  host_key_refused: { status: 503, type: "server_error", fault: "environment", retryable: false },
  /** The machine does not let us in: no key of ours is taken there. */
  host_login_refused: { status: 503, type: "server_error", fault: "environment", retryable: false },
  /** The machine's SSH server lets no connection of a hive come back to us. */
  forwarding_forbidden: { status: 503, type: "server_error", fault: "environment", retryable: true },
  install_failed: { status: 503, type: "server_error", fault: "environment", retryable: true },
  preflight_failed: { status: 503, type: "server_error", fault: "environment", retryable: true },
  hive_not_installed: { status: 503, type: "server_error", fault: "environment", retryable: false },
  upload_failed: { status: 503, type: "server_error", fault: "environment", retryable: true },
  peer_unreachable: { status: 502, type: "server_error", fault: "environment", retryable: true },
  peer_nonsense: { status: 502, type: "server_error", fault: "environment", retryable: true },
  storage_failed: { status: 503, type: "server_error", fault: "environment", retryable: true },
  internal: { status: 500, type: "server_error", fault: "ours", retryable: true },
});

/** One of the closed set of expected failures. */
export type ErrorKind = keyof typeof ERROR_KINDS;

/** What a HiveError carries beside its kind. */
export interface QhErrorOptions {
  /** The field that is wrong, as a JSON pointer or a name. */
  readonly param?: string;
  /** Facts for a program: never secrets, never another key's data. */
  readonly details?: Readonly<Record<string, unknown>>;
  /** Seconds after which a retry makes sense. */
  readonly retryAfterS?: number;
  readonly cause?: unknown;
}

/**
 * An expected failure on its way to a caller. Messages start with "cannot ...", say what was tried and where,
 * and what to do next. Bugs are ordinary Errors.
 */
export class QhError extends Error {
  readonly kind: ErrorKind;
  readonly param: string | undefined;
  readonly details: Readonly<Record<string, unknown>> | undefined;
  readonly retryAfterS: number | undefined;

  constructor(kind: ErrorKind, message: string, options: QhErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "QhError";
    this.kind = kind;
    this.param = options.param;
    this.details = options.details;
    this.retryAfterS = options.retryAfterS;
  }

  /** The HTTP status of this failure. */
  get status(): number {
    return ERROR_KINDS[this.kind].status;
  }
}

/** Whether a text names one of our error kinds. */
export function isErrorKind(text: string): text is ErrorKind {
  return Object.hasOwn(ERROR_KINDS, text);
}

/** The one error shape of every surface of ours (OpenAI's, plus `details` and `request_id`). */
export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly code: string;
    readonly param?: string;
    readonly details?: Readonly<Record<string, unknown>>;
    readonly request_id: string;
  };
}

/** A failure -> the body that says it. */
export function errorBody(error: QhError, requestId: string): ErrorBody {
  return {
    error: {
      message: error.message,
      type: ERROR_KINDS[error.kind].type,
      code: error.kind,
      ...(error.param === undefined ? {} : { param: error.param }),
      ...(error.details === undefined ? {} : { details: error.details }),
      request_id: requestId,
    },
  };
}
