import { closeSync, openSync, readSync, type Stats, statSync } from "node:fs";
import { FileReader, GgufProblem, readGguf } from "@queen-and-hive/daemon/gguf";
import type { ModelFacts } from "../domain/memory-need.ts";

/** A model file with what identifies its content without reading it. */
export interface ModelFile {
  readonly path: string;
  readonly bytes: number;
  readonly modifiedMs: number;
}

/** Identifies the content of a model's file; null for a directory, a device, or nothing. */
export function identifyModel(path: string): ModelFile | null {
  const stats = statOf(path);
  return stats?.isFile() === true ? { path, bytes: stats.size, modifiedMs: stats.mtimeMs } : null;
}

/** What the header of a GGUF file says of its model; null when the file is none. Read once per content. */
export function readModelFacts(file: ModelFile): ModelFacts | null {
  const known = kept.get(file.path);
  if (known !== undefined && known.bytes === file.bytes && known.modifiedMs === file.modifiedMs) return known.facts;
  const facts = factsOf(file);
  kept.set(file.path, { ...file, facts });
  const oldest = kept.keys().next().value;
  if (kept.size > KEPT_MAX && oldest !== undefined) kept.delete(oldest);
  return facts;
}

const kept = new Map<string, ModelFile & { readonly facts: ModelFacts | null }>();
const KEPT_MAX = 100;

function factsOf(file: ModelFile): ModelFacts | null {
  try {
    const { numbers } = readHeader(file);
    return {
      fileBytes: bytesOfAllParts(file),
      layers: numbers.block_count,
      contextTokensMax: numbers.context_length,
      embeddingLength: numbers.embedding_length,
      heads: numbers["attention.head_count"],
      kvHeads: numbers["attention.head_count_kv"],
      keyLength: numbers["attention.key_length"],
      valueLength: numbers["attention.value_length"],
    };
  } catch (error) {
    // Not a GGUF, or not readable for us: the engine says what is wrong with it.
    if (error instanceof GgufProblem || (error instanceof Error && "code" in error)) return null;
    throw error;
  }
}

function readHeader({ path, bytes }: ModelFile) {
  const descriptor = openSync(path, "r");
  try {
    return readGguf(new FileReader((target, position) => readSync(descriptor, target, 0, target.length, position), bytes));
  } finally {
    closeSync(descriptor);
  }
}

/** llama.cpp splits large models into `name-00001-of-00003.gguf` and so on, and is given the first. */
function bytesOfAllParts({ path, bytes }: ModelFile): number {
  const match = /^(.*)-00001-of-([0-9]{5})\.gguf$/.exec(path);
  const count = match?.[2];
  if (match === null || count === undefined) return bytes;
  const parts = Array.from(
    { length: Number(count) },
    (_, index) => `${match[1]}-${String(index + 1).padStart(5, "0")}-of-${count}.gguf`,
  );
  return parts.reduce((sum, part) => sum + (statOf(part)?.size ?? 0), 0);
}

function statOf(path: string): Stats | null {
  return statSync(path, { throwIfNoEntry: false }) ?? null;
}
