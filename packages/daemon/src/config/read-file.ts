import { readFileSync, statSync } from "node:fs";
import { QhError } from "@queen-and-hive/protocol";
import { isMap, isScalar, isSeq, LineCounter, parseDocument } from "yaml";
import { errorCodeOf } from "../error-code.ts";
import { isPlainObject, type KeyPath } from "./key-path.ts";

/** A configuration file: its value and the line on which each key stands. */
export interface ConfigFile {
  readonly path: string;
  readonly value: unknown;
  /** The line (from 1) of a key or list item; of its nearest parent when it is not there itself. */
  lineOf(path: KeyPath): number;
}

/** The largest configuration file that is read. */
const CONFIG_BYTES_MAX = 4 * 1024 * 1024;

/** Reads a YAML (or JSON) file. Throws `invalid_config` that names file and line. */
export function readConfigFile(path: string): ConfigFile {
  const lines = new LineCounter();
  const document = parseDocument(readText(path), { lineCounter: lines, uniqueKeys: true, prettyErrors: false });
  const [problem] = document.errors;
  if (problem !== undefined) {
    const { line } = lines.linePos(problem.pos[0]);
    throw new QhError("invalid_config", `cannot read ${path}:${line}: ${sentenceOf(problem.code, problem.message)}`, {
      details: { file: path, line },
      cause: problem,
    });
  }
  const value: unknown = document.toJS() ?? {};
  if (!isPlainObject(value)) {
    throw new QhError(
      "invalid_config",
      `cannot use ${path}:1: expected keys with values, got ${Array.isArray(value) ? "a list" : "a single value"}`,
    );
  }
  return { path, value, lineOf: (place) => lines.linePos(offsetOf(document.contents, place)).line };
}

function readText(path: string): string {
  try {
    const { size } = statSync(path);
    if (size > CONFIG_BYTES_MAX) {
      throw new QhError("invalid_config", `cannot read ${path}: it has ${size} bytes, at most ${CONFIG_BYTES_MAX} are read`);
    }
    return readFileSync(path, "utf8");
  } catch (cause) {
    if (cause instanceof QhError) throw cause;
    const code = errorCodeOf(cause) ?? "unknown error";
    const what = code === "ENOENT" ? "there is no such file" : code;
    throw new QhError("invalid_config", `cannot read the configuration file ${path}: ${what}`, {
      cause,
      details: { file: path },
    });
  }
}

function sentenceOf(code: string, message: string): string {
  return code === "DUPLICATE_KEY" ? "this key is there twice; remove one of them" : message;
}

function offsetOf(contents: unknown, path: KeyPath): number {
  let node = contents;
  let offset = 0;
  for (const part of path) {
    if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(part));
      if (pair === undefined) return offset;
      if (isScalar(pair.key) && pair.key.range) offset = pair.key.range[0];
      node = pair.value;
    } else if (isSeq(node)) {
      const item = node.items[Number(part)];
      if (typeof item === "object" && item !== null && "range" in item && Array.isArray(item.range))
        offset = Number(item.range[0]);
      node = item;
    } else {
      return offset;
    }
  }
  return offset;
}
