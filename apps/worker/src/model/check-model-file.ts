import { closeSync, openSync, readSync, type Stats, statSync } from "node:fs";
import { FileReader, GgufProblem, readGguf } from "@queen-and-hive/daemon/gguf";
import { formatBytes, WORKER_EXIT } from "@queen-and-hive/protocol";
import { StartFailure } from "../domain/start-failure.ts";

/** What is known of a model file before the engine sees it. */
export interface ModelFile {
  readonly bytes: number;
  readonly tensors: number;
}

/**
 * Looks at a model file so that a missing, truncated or foreign one is named clearly, before llama.cpp is even loaded.
 * Throws StartFailure with `modelMissing` or `modelInvalid`.
 */
export function checkModelFile(path: string): ModelFile {
  const stats = statOrFail(path);
  const descriptor = openOrFail(path);
  try {
    const reader = new FileReader((target, position) => readSync(descriptor, target, 0, target.length, position), stats.size);
    const layout = readGguf(reader);
    if (layout.endOfData > stats.size) {
      throw new GgufProblem(
        `the file is truncated, it has ${formatBytes(stats.size)} of at least ${formatBytes(layout.endOfData)}`,
        "copy or download it again",
      );
    }
    return { bytes: stats.size, tensors: layout.tensors };
  } catch (error) {
    if (error instanceof GgufProblem) {
      throw new StartFailure(WORKER_EXIT.modelInvalid, `cannot load ${path}: ${error.message}: ${error.advice}`, error);
    }
    throw error;
  } finally {
    closeSync(descriptor);
  }
}

function statOrFail(path: string): Stats {
  let stats: Stats;
  try {
    stats = statSync(path);
  } catch (error) {
    throw missing(path, error);
  }
  if (!stats.isFile()) {
    throw new StartFailure(
      WORKER_EXIT.modelInvalid,
      `cannot load ${path}: it is not a regular file: give the path of a GGUF file`,
    );
  }
  return stats;
}

function openOrFail(path: string): number {
  try {
    return openSync(path, "r");
  } catch (error) {
    throw missing(path, error);
  }
}

function missing(path: string, cause: unknown): StartFailure {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new StartFailure(
    WORKER_EXIT.modelMissing,
    `cannot load ${path}: ${why}: check that the file exists and may be read`,
    cause,
  );
}
