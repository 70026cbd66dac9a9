import { describe, expect, it } from "vitest";
import { FileReader, type GgufHeader, readGguf } from "./gguf-file.ts";

/** Builds headers of GGUF files, value by value (ggml/docs/gguf.md). */
class GgufWriter {
  readonly #parts: Buffer[] = [];
  #fields = 0;

  static readonly uint32 = 4;
  static readonly string = 8;
  static readonly array = 9;
  static readonly uint64 = 10;

  number(key: string, value: number): this {
    return this.#field(key, GgufWriter.uint32, u32(value));
  }

  long(key: string, value: number): this {
    return this.#field(key, GgufWriter.uint64, u64(value));
  }

  text(key: string, value: string): this {
    return this.#field(key, GgufWriter.string, text(value));
  }

  numbers(key: string, values: readonly number[]): this {
    return this.#field(key, GgufWriter.array, Buffer.concat([u32(GgufWriter.uint32), u64(values.length), ...values.map(u32)]));
  }

  texts(key: string, values: readonly string[]): this {
    return this.#field(key, GgufWriter.array, Buffer.concat([u32(GgufWriter.string), u64(values.length), ...values.map(text)]));
  }

  read(): GgufHeader {
    const file = Buffer.concat([Buffer.from("GGUF"), u32(3), u64(0), u64(this.#fields), ...this.#parts]);
    return readGguf(new FileReader((target, position) => file.copy(target, 0, position), file.length));
  }

  #field(key: string, type: number, value: Buffer): this {
    this.#fields += 1;
    this.#parts.push(text(key), u32(type), value);
    return this;
  }
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function text(value: string): Buffer {
  return Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)]);
}

describe("the header of a GGUF file", () => {
  it("says the numbers of its architecture, whatever stands between them", () => {
    const { architecture, numbers } = new GgufWriter()
      .text("general.architecture", "llama")
      .texts("tokenizer.ggml.tokens", ["<s>", "bee", "🐝"])
      .number("llama.block_count", 32)
      .long("llama.context_length", 131_072)
      .number("llama.embedding_length", 4096)
      .number("llama.attention.head_count", 32)
      .number("llama.attention.head_count_kv", 8)
      .number("llama.attention.key_length", 128)
      .read();
    expect(architecture).toBe("llama");
    expect(numbers).toEqual({
      block_count: 32,
      context_length: 131_072,
      embedding_length: 4096,
      "attention.head_count": 32,
      "attention.head_count_kv": 8,
      "attention.key_length": 128,
      "attention.value_length": null,
    });
  });

  it("has heads per layer in some models: their mean counts", () => {
    const writer = new GgufWriter().text("general.architecture", "deci").numbers("deci.attention.head_count_kv", [8, 0, 4, 4]);
    expect(writer.read().numbers["attention.head_count_kv"]).toBe(4);
  });

  it("does not take the numbers of a part of another architecture, nor texts for numbers", () => {
    const { numbers } = new GgufWriter()
      .text("general.architecture", "llama")
      .number("clip.vision.block_count", 24)
      .text("llama.block_count", "many")
      .texts("llama.attention.head_count", ["1"])
      .number("llama.context_length", 8)
      .read();
    expect(numbers).toMatchObject({ block_count: null, "attention.head_count": null, context_length: 8 });
  });

  it("without an architecture has no numbers", () => {
    const { architecture, numbers } = new GgufWriter().number("llama.block_count", 32).read();
    expect(architecture).toBe(null);
    expect(numbers.block_count).toBe(null);
  });
});
