import { EndOfFile, FileReader } from "./file-reader.ts";

export { FileReader };

/** What is wrong with a file that should be a GGUF, and what to do about it. */
export class GgufProblem extends Error {
  readonly advice: string;

  constructor(message: string, advice: string) {
    super(message);
    this.name = "GgufProblem";
    this.advice = advice;
  }
}

/** What the header of a GGUF file says: where its data ends, and the numbers of its model that its memory depends on. */
export interface GgufHeader {
  readonly tensors: number;
  /** In bytes from the beginning; at least this long the file must be, exactly so for all kinds of tensors that we know. */
  readonly endOfData: number;
  /** `general.architecture`; the numbers below are its own. Null where the file does not say. */
  readonly architecture: string | null;
  readonly numbers: Readonly<Record<GgufNumber, number | null>>;
}

/** Keys below the architecture (the GGUF specification, ggml/docs/gguf.md); of a number per layer the mean is kept. */
export type GgufNumber =
  | "block_count"
  | "context_length"
  | "embedding_length"
  | "attention.head_count"
  | "attention.head_count_kv"
  | "attention.key_length"
  | "attention.value_length";

const NUMBERS: readonly GgufNumber[] = [
  "block_count",
  "context_length",
  "embedding_length",
  "attention.head_count",
  "attention.head_count_kv",
  "attention.key_length",
  "attention.value_length",
];

const MAGIC = 0x46554747; // "GGUF" in little-endian order
const VERSIONS = [2, 3];
const ALIGNMENT_DEFAULT = 32;
const DIMENSIONS_MAX = 8;
const STRING = 8;
const ARRAY = 9;
const UINT32 = 4;
const INT32 = 5;
const UINT64 = 10;
const INT64 = 11;

/** Bytes of the fixed-size values of metadata, by type (the GGUF specification, ggml/docs/gguf.md). */
const VALUE_BYTES: Readonly<Record<number, number>> = { 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 };

/** Elements and bytes of a block, by kind of tensor (ggml's `type_traits`). */
const BLOCKS: Readonly<Record<number, readonly [elements: number, bytes: number]>> = {
  0: [1, 4], // F32
  1: [1, 2], // F16
  2: [32, 18], // Q4_0
  3: [32, 20], // Q4_1
  6: [32, 22], // Q5_0
  7: [32, 24], // Q5_1
  8: [32, 34], // Q8_0
  10: [256, 84], // Q2_K
  11: [256, 110], // Q3_K
  12: [256, 144], // Q4_K
  13: [256, 176], // Q5_K
  14: [256, 210], // Q6_K
  16: [256, 66], // IQ2_XXS
  17: [256, 74], // IQ2_XS
  18: [256, 98], // IQ3_XXS
  20: [32, 18], // IQ4_NL
  21: [256, 110], // IQ3_S
  22: [256, 82], // IQ2_S
  23: [256, 136], // IQ4_XS
  24: [1, 1], // I8
  25: [1, 2], // I16
  26: [1, 4], // I32
  28: [1, 8], // F64
  30: [1, 2], // BF16
};

/** Reads the header of a GGUF file. Throws GgufProblem when it is none, of an unknown version, or ends within its header. */
export function readGguf(reader: FileReader): GgufHeader {
  try {
    return readHeader(reader);
  } catch (error) {
    if (error instanceof EndOfFile) {
      throw new GgufProblem(`the file is truncated within its header (${error.message})`, "copy or download it again");
    }
    throw error;
  }
}

function readHeader(reader: FileReader): GgufHeader {
  if (reader.remaining < 4 || reader.uint32() !== MAGIC) {
    throw new GgufProblem("it is not a GGUF file", "give the path of a model in GGUF format, or convert it");
  }
  const version = reader.uint32();
  if (!VERSIONS.includes(version)) {
    throw new GgufProblem(
      `its GGUF version ${version} is not one of ${VERSIONS.join(", ")}`,
      "convert the model again with a current tool",
    );
  }
  const tensors = reader.uint64();
  const fields = reader.uint64();
  if (fields === 0) throw new GgufProblem("it says nothing about its model", "copy or download it again");
  const metadata = readMetadata(reader, fields);
  let dataBytes = 0;
  for (let index = 0; index < tensors; index += 1) dataBytes = Math.max(dataBytes, readTensorEnd(reader));
  const alignment = Math.max(1, metadata.numbers.get("general.alignment") ?? ALIGNMENT_DEFAULT);
  const dataStart = Math.ceil(reader.position / alignment) * alignment;
  return { tensors, endOfData: tensors === 0 ? reader.position : dataStart + dataBytes, ...modelFacts(metadata) };
}

function modelFacts({ architecture, numbers }: Metadata): Pick<GgufHeader, "architecture" | "numbers"> {
  const of = (name: GgufNumber): number | null => numbers.get(`${architecture}.${name}`) ?? null;
  return {
    architecture,
    numbers: {
      block_count: of("block_count"),
      context_length: of("context_length"),
      embedding_length: of("embedding_length"),
      "attention.head_count": of("attention.head_count"),
      "attention.head_count_kv": of("attention.head_count_kv"),
      "attention.key_length": of("attention.key_length"),
      "attention.value_length": of("attention.value_length"),
    },
  };
}

interface Metadata {
  readonly architecture: string | null;
  readonly numbers: ReadonlyMap<string, number>;
}

function readMetadata(reader: FileReader, count: number): Metadata {
  let architecture: string | null = null;
  const numbers = new Map<string, number>();
  for (let index = 0; index < count; index += 1) {
    const key = reader.text(reader.uint64());
    const type = reader.uint32();
    if (key === "general.architecture" && type === STRING) architecture = reader.text(reader.uint64());
    else if (key === "general.alignment" || NUMBERS.some((name) => key.endsWith(`.${name}`))) {
      const value = readNumber(reader, type);
      if (value !== null) numbers.set(key, value);
    } else skipValue(reader, type);
  }
  return { architecture, numbers };
}

/** A whole number, or the mean of a list of such; null, and skipped, for everything else. */
function readNumber(reader: FileReader, type: number): number | null {
  if (type === UINT32 || type === INT32) return reader.uint32();
  if (type === UINT64 || type === INT64) return reader.uint64();
  if (type !== ARRAY) {
    skipValue(reader, type);
    return null;
  }
  const itemType = reader.uint32();
  const length = reader.uint64();
  if ((itemType !== UINT32 && itemType !== INT32) || length === 0) {
    skipItems(reader, itemType, length);
    return null;
  }
  let sum = 0;
  for (let index = 0; index < length; index += 1) sum += reader.uint32();
  return sum / length;
}

function skipValue(reader: FileReader, type: number): void {
  const bytes = VALUE_BYTES[type];
  if (bytes !== undefined) {
    reader.skip(bytes);
  } else if (type === STRING) {
    reader.skip(reader.uint64());
  } else if (type === ARRAY) {
    skipItems(reader, reader.uint32(), reader.uint64());
  } else {
    throw new GgufProblem(`its metadata has a value of the unknown type ${type}`, "copy or download it again");
  }
}

function skipItems(reader: FileReader, type: number, length: number): void {
  const bytes = VALUE_BYTES[type];
  if (bytes !== undefined) {
    reader.skip(bytes * length);
    return;
  }
  for (let index = 0; index < length; index += 1) skipValue(reader, type);
}

/** The end of a tensor's data, in bytes from the start of all data. */
function readTensorEnd(reader: FileReader): number {
  reader.skip(reader.uint64());
  const dimensions = reader.uint32();
  if (dimensions > DIMENSIONS_MAX) throw new GgufProblem("its table of tensors is damaged", "copy or download it again");
  let elements = 1;
  for (let index = 0; index < dimensions; index += 1) elements *= reader.uint64();
  const block = BLOCKS[reader.uint32()];
  const offset = reader.uint64();
  return block === undefined ? offset : offset + Math.ceil(elements / block[0]) * block[1];
}
