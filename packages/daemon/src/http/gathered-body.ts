import type { IncomingMessage } from "node:http";

/** So much is kept back at the most. */
const GATHERED_BYTES = 16_384;

/**
 * From now on, the chunks of a body that come in one turn of the event loop come together, up to 16 KiB at a
 * time. Streams do a good deal of work for each chunk, which with chunks of one byte is all that they do.
 */
export function gatherChunks(request: IncomingMessage): void {
  const push = request.push;
  const gathered: Buffer[] = [];
  let bytes = 0;
  const flush = (): void => {
    if (bytes === 0) return;
    bytes = 0;
    const chunks = gathered.splice(0);
    push.call(request, chunks.length === 1 ? chunks[0] : Buffer.concat(chunks));
  };
  request.push = (chunk: Buffer | null): boolean => {
    if (chunk === null) {
      flush();
      return push.call(request, null);
    }
    if (bytes === 0) setImmediate(flush);
    gathered.push(chunk);
    bytes += chunk.length;
    if (bytes >= GATHERED_BYTES) flush();
    return request.readableLength < request.readableHighWaterMark;
  };
}
