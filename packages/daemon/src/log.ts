import { createLogger, format, type Logger, transports } from "winston";
import { type Clock, systemClock } from "./clock.ts";
import { type LogEntry, type LogLevel, toJsonLine, toPrettyLine } from "./log-line.ts";

/** A log: JSON lines with time, level, program, message and fields such as request_id, worker_id, hive_id. */
export interface Log {
  debug(message: string, fields?: object): void;
  info(message: string, fields?: object): void;
  warn(message: string, fields?: object): void;
  /** An Error given as the field `error` is written with message, kind, code, stack and causes. */
  error(message: string, fields?: object): void;
  /** A log that adds these fields to every line; it is closed with its parent. */
  child(fields: object): Log;
  /** Writes out what is buffered and closes the file; later lines are dropped. */
  close(): Promise<void>;
}

/** Where and how a log is written. */
export interface LogOptions {
  readonly program: "queen" | "hive" | "worker";
  readonly level: LogLevel;
  /** `auto`: pretty when the stream is a terminal. The file is always JSON. */
  readonly format: "json" | "pretty" | "auto";
  /** A rotated file: at most `keep` files of about `maxBytes` each. */
  readonly file?: { readonly path: string; readonly maxBytes: number; readonly keep: number };
  /** Standard error when absent (standard output is for answers); null writes to the file only. */
  readonly stream?: NodeJS.WritableStream | null;
  readonly clock?: Clock;
}

/** Opens a log. What goes wrong with its stream or file is never allowed to end the process. */
export function createLog(options: LogOptions): Log {
  const stream = options.stream === undefined ? process.stderr : options.stream;
  const pretty = options.format === "pretty" || (options.format === "auto" && isTerminal(stream));
  const logger = createLogger({
    levels: LEVELS,
    level: options.level,
    format: format((info) => info)(),
    transports: [
      ...(stream === null
        ? []
        : [new transports.Stream({ stream, format: lineFormat(pretty ? toPrettyLine : toJsonLine), eol: "\n" })]),
      ...(options.file === undefined ? [] : [fileTransport(options.file)]),
    ],
    silent: stream === null && options.file === undefined,
  });
  stream?.on("error", ignore);
  logger.on("error", ignore);
  return wrap(logger, { program: options.program, highest: LEVELS[options.level], clock: options.clock ?? systemClock }, {});
}

/** A log that drops everything, for tests. */
export const silentLog: Log = {
  debug: ignore,
  info: ignore,
  warn: ignore,
  error: ignore,
  child: () => silentLog,
  close: () => Promise.resolve(),
};

/** How long closing waits for the disk: a log must not hold a stop up. */
const CLOSE_MS_MAX = 1_000;
const CLOSE_LOOK_MS = 2;
const LEVELS: Readonly<Record<LogLevel, number>> = { error: 0, warn: 1, info: 2, debug: 3 };

interface Writing {
  readonly program: string;
  readonly highest: number;
  readonly clock: Clock;
}

function wrap(logger: Logger, writing: Writing, bound: object): Log {
  const { program, highest, clock } = writing;
  const write = (level: LogLevel, message: string, fields: object | undefined): void => {
    if (logger.writableEnded || LEVELS[level] > highest) return;
    const entry: LogEntry = {
      time: new Date(clock.nowMs()).toISOString(),
      level,
      program,
      message,
      fields: { ...bound, ...fields },
    };
    logger.log({ level, message, entry });
  };
  return {
    debug: (message, fields) => write("debug", message, fields),
    info: (message, fields) => write("info", message, fields),
    warn: (message, fields) => write("warn", message, fields),
    error: (message, fields) => write("error", message, fields),
    child: (fields) => wrap(logger, writing, { ...bound, ...fields }),
    close: () => close(logger, clock),
  };
}

function lineFormat(toLine: (entry: LogEntry) => string): ReturnType<typeof format.printf> {
  return format.printf((info) => toLine(info["entry"] as LogEntry));
}

function fileTransport({ path, maxBytes, keep }: NonNullable<LogOptions["file"]>): InstanceType<typeof transports.File> {
  const file = new transports.File({
    filename: path,
    maxsize: maxBytes,
    maxFiles: keep,
    tailable: true,
    format: lineFormat(toJsonLine),
    eol: "\n",
    options: { flags: "a", mode: 0o600 },
  });
  file.on("error", ignore);
  return file;
}

async function close(logger: Logger, clock: Clock): Promise<void> {
  if (logger.writableEnded) return;
  const files = logger.transports.filter((transport) => transport instanceof transports.File);
  const giveUp = new AbortController();
  using _timer = clock.after(CLOSE_MS_MAX, () => giveUp.abort());
  const gaveUp = new Promise<void>((resolve) => giveUp.signal.addEventListener("abort", () => resolve(), { once: true }));
  while (files.some(isBetweenFiles) && !giveUp.signal.aborted) await clock.sleep(CLOSE_LOOK_MS);
  const written = files.map((file) => new Promise<void>((resolve) => void file.once("finish", resolve)));
  logger.end();
  await Promise.race([Promise.all(written), gaveUp]);
}

/**
 * Whether winston's File is opening or rotating, by its own fields (3.19): ended then, it says "finish" while lines are still
 * on their way to the next file.
 */
function isBetweenFiles(file: object): boolean {
  const isOpening = "_opening" in file && file._opening === true;
  const isRotating = "_rotate" in file && file._rotate === true;
  const stream = "_stream" in file ? file._stream : null;
  const holdsLines = typeof stream === "object" && stream !== null && "readableLength" in stream && stream.readableLength !== 0;
  return isOpening || isRotating || holdsLines;
}

function isTerminal(stream: NodeJS.WritableStream | null): boolean {
  return stream !== null && "isTTY" in stream && stream.isTTY === true;
}

function ignore(): void {
  // A full disk or a reader that left (EPIPE) costs log lines, never the process.
}
