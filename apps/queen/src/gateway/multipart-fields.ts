import { QhError } from "@queen-and-hive/protocol";
import type { BodyFields } from "../domain/json-scanner.ts";

/** Whether a content type is a form with files in it (RFC 7578). */
export function isMultipart(contentType: string): boolean {
  return /^multipart\/form-data\s*;/i.test(contentType);
}

/** The same fields of a form as of a JSON body; `model` stands there as it is, without quotes. Throws `invalid_body`. */
export function multipartFields(body: Buffer, contentType: string): BodyFields {
  const delimiter = Buffer.from(`--${boundaryOf(contentType)}`);
  let fields: BodyFields = { model: null, modelSpans: [], wantsStream: false };
  let at = body.indexOf(delimiter);
  while (at !== -1) {
    const start = at + delimiter.length;
    const headersEnd = body.indexOf("\r\n\r\n", start);
    at = body.indexOf(delimiter, start);
    if (at === -1 || headersEnd === -1 || headersEnd > at) break;
    const value = { start: headersEnd + 4, end: Math.max(headersEnd + 4, at - 2) };
    const name = nameOf(body.toString("latin1", start, Math.min(headersEnd, start + HEADERS_BYTES_MAX)));
    if (name === "model") {
      const model = body.toString("utf8", value.start, Math.min(value.end, value.start + VALUE_BYTES_MAX));
      fields = { ...fields, model, modelSpans: [...fields.modelSpans, value] };
    }
    if (name === "stream") fields = { ...fields, wantsStream: body.toString("latin1", value.start, value.end) === "true" };
  }
  return fields;
}

/** Longest part headers that are looked at, and longest model name. */
const HEADERS_BYTES_MAX = 1_024;
const VALUE_BYTES_MAX = 4_096;

function boundaryOf(contentType: string): string {
  const match = /;\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))/i.exec(contentType);
  const boundary = match?.[1] ?? match?.[2];
  if (boundary === undefined) throw new QhError("invalid_body", "cannot read the form: its content-type names no boundary");
  return boundary;
}

function nameOf(headers: string): string | null {
  const match = /^content-disposition:\s*form-data;[^\r\n]*?\bname="?([^";\r\n]*)"?/im.exec(headers);
  return match?.[1] ?? null;
}
