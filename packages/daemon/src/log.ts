import { createLogger, format, type Logger, transports } from "winston";
import { type Clock, systemClock } from "./clock.ts";
import { type LogEntry, type LogLevel, toJsonLine, toPrettyLine } from "./log-line.ts";
import { RotatingFile } from "./rotating-file.ts";

/** A log: JSON lines with time, level, program, message and fields such as request_id, worker_id, hive_id. */
export interface Log {
  debug(message: string, fields?: object): void;
  info(message: string, fields?: object): void;
  warn(message: string, fields?: object): void;
  /** An Error given as the field `error` is written with message, kind, code, stack and causes. */
  error(message: string, fields?: object): void;
  /** A log that adds these fields to every line; it is closed with its parent. */
  child(fields: object): Log;
  /** Closes the file; later lines are dropped. */
  close(): Promise<void>;
}

/** Where and how a log is written. */
export interface LogOptions {
  readonly program: "queen" | "hive" | "worker";
  readonly level: LogLevel;
  /** `auto`: pretty when the stream is a terminal. The file is always JSON. */
  readonly format: "json" | "pretty" | "auto";
  /** A rotated file: at most `keep` files (`path`, `path.1`, ...) of at most `maxBytes` each. */
  readonly file?: { readonly path: string; readonly maxBytes: number; readonly keep: number };
  /** Standard error when absent (standard output is for answers); null writes to the file only. */
  readonly stream?: NodeJS.WritableStream | null;
  readonly clock?: Clock;
}

/** Opens a log. What goes wrong with its stream or file is never allowed to end the process. */
export function createLog(options: LogOptions): Log {
  const stream = options.stream === undefined ? process.stderr : options.stream;
  const pretty = options.format === "pretty" || (options.format === "auto" && isTerminal(stream));
  const file = options.file === undefined ? null : new RotatingFile(options.file);
  const logger = createLogger({
    levels: LEVELS,
    level: options.level,
    format: format((info) => info)(),
    transports: [
      ...(stream === null
        ? []
        : [new transports.Stream({ stream, format: lineFormat(pretty ? toPrettyLine : toJsonLine), eol: "\n" })]),
      ...(file === null ? [] : [new transports.Stream({ stream: file, format: lineFormat(toJsonLine), eol: "\n" })]),
    ],
    silent: stream === null && file === null,
  });
  stream?.on("error", ignore);
  logger.on("error", ignore);
  return wrap(
    logger,
    { program: options.program, highest: LEVELS[options.level], clock: options.clock ?? systemClock, file },
    {},
  );
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

const LEVELS: Readonly<Record<LogLevel, number>> = { error: 0, warn: 1, info: 2, debug: 3 };

interface Writing {
  readonly program: string;
  readonly highest: number;
  readonly clock: Clock;
  readonly file: RotatingFile | null;
}

function wrap(logger: Logger, writing: Writing, bound: object): Log {
  const { program, highest, clock, file } = writing;
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
    close: async () => {
      // Both streams write within the call, so nothing is on its way any more.
      if (!logger.writableEnded) logger.end();
      file?.end();
    },
  };
}

function lineFormat(toLine: (entry: LogEntry) => string): ReturnType<typeof format.printf> {
  return format.printf((info) => toLine(info["entry"] as LogEntry));
}

function isTerminal(stream: NodeJS.WritableStream | null): boolean {
  return stream !== null && "isTTY" in stream && stream.isTTY === true;
}

function ignore(): void {
  // A full disk or a reader that left (EPIPE) costs log lines, never the process.
}
