import type { Readable } from "node:stream";
import type { Deadline } from "@queen-and-hive/daemon/basics";
import { type HiveStartRequest, hiveStartRequestSchema, lazyValidator, QhError, valueOrThrow } from "@queen-and-hive/protocol";

/** The largest start request that is read. */
const REQUEST_BYTES_MAX = 1024 * 1024;

const validateRequest = lazyValidator<HiveStartRequest>(hiveStartRequestSchema, "ignore");

/**
 * What `hive start --json` is told on standard input; nothing on a terminal or in an empty input.
 * Throws `malformed_json`, `invalid_body`, `body_too_large`, and `deadline_exceeded` for an input that nobody closes.
 */
export async function readStartRequest(
  input: Readable & { readonly isTTY?: boolean },
  deadline: Deadline,
): Promise<HiveStartRequest> {
  if (input.isTTY === true) return {};
  const text = (await readAll(input, deadline)).trim();
  if (text === "") return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new QhError("malformed_json", "cannot read the start request on standard input: it is not JSON", { cause });
  }
  return valueOrThrow(validateRequest(value), "invalid_body", "the start request on standard input");
}

async function readAll(input: Readable, deadline: Deadline): Promise<string> {
  using signal = deadline.signal();
  const cut = (): void => {
    input.destroy(
      new QhError("deadline_exceeded", "cannot read the start request: standard input stays open; close it or use </dev/null"),
    );
  };
  signal.addEventListener("abort", cut, { once: true });
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of input) {
    const part = Buffer.from(chunk);
    bytes += part.length;
    if (bytes > REQUEST_BYTES_MAX) {
      throw new QhError("body_too_large", `cannot read the start request: it has more than ${REQUEST_BYTES_MAX} bytes`);
    }
    chunks.push(part);
  }
  return Buffer.concat(chunks).toString("utf8");
}
