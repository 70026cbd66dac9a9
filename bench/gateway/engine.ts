// An engine for measuring: a bare TCP server that answers every POST with an event stream, or a whole
// chat where that is asked for, so cheaply that what stands in
// front of it is what is measured. The request's body says how many tokens (`max_tokens`) and how often (`interval_ms`).
import { createServer, type Socket } from "node:net";
import { parseArgs } from "node:util";

const { values } = parseArgs({ options: { host: { type: "string", default: "127.0.0.1" }, port: { type: "string" } } });

const HEAD = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
const HEALTHY = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
const END = `${chunk("data: [DONE]\n\n")}0\r\n\r\n`;
const HEAD_END = Buffer.from("\r\n\r\n");

/** The same clock in every process of the machine. */
const nowMs = (): number => Number(process.hrtime.bigint() / 1_000n) / 1_000;

function chunk(text: string): string {
  return `${text.length.toString(16)}\r\n${text}\r\n`;
}

/** One token in OpenAI's shape; `sent` is when it was written, in milliseconds of the machine's monotonic clock. */
function token(): string {
  return chunk(
    `data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1700000000,"model":"bench","sent":${nowMs()},` +
      `"choices":[{"index":0,"delta":{"content":" token"},"finish_reason":null}]}\n\n`,
  );
}

function numberIn(body: string, field: string, byDefault: number): number {
  const found = new RegExp(`"${field}":\\s*(\\d+)`).exec(body)?.[1];
  return found === undefined ? byDefault : Number(found);
}

const COMPLETION = JSON.stringify({
  id: "chatcmpl-bench",
  object: "chat.completion",
  created: 1_700_000_000,
  model: "bench",
  choices: [{ index: 0, message: { role: "assistant", content: "a short answer" }, finish_reason: "stop" }],
  usage: { prompt_tokens: 20, completion_tokens: 3, total_tokens: 23 },
});
const WHOLE = `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${COMPLETION.length}\r\n\r\n${COMPLETION}`;

function answer(socket: Socket, body: string): void {
  if (body.includes('"stream":false')) {
    socket.write(WHOLE);
    return;
  }
  const tokens = numberIn(body, "max_tokens", 1);
  const intervalMs = numberIn(body, "interval_ms", 0);
  if (tokens === 1 || intervalMs === 0) {
    socket.write(HEAD + Array.from({ length: tokens }, token).join("") + END);
    return;
  }
  socket.write(HEAD);
  let left = tokens;
  const timer = setInterval(() => {
    socket.write(token());
    left -= 1;
    if (left > 0) return;
    clearInterval(timer);
    socket.write(END);
  }, intervalMs);
  socket.once("close", () => clearInterval(timer));
}

createServer({ noDelay: true }, (socket) => {
  let pending: Buffer = Buffer.alloc(0);
  socket.on("error", () => socket.destroy());
  socket.on("data", (data: Buffer) => {
    pending = pending.length === 0 ? data : Buffer.concat([pending, data]);
    for (;;) {
      const headEnd = pending.indexOf(HEAD_END);
      if (headEnd < 0) return;
      const head = pending.toString("latin1", 0, headEnd);
      const bodyAt = headEnd + HEAD_END.length;
      const bodyEnd = bodyAt + Number(/content-length: *(\d+)/i.exec(head)?.[1] ?? 0);
      if (pending.length < bodyEnd) return;
      const body = pending.toString("latin1", bodyAt, bodyEnd);
      pending = pending.subarray(bodyEnd);
      if (head.startsWith("POST")) answer(socket, body);
      else socket.write(HEALTHY);
    }
  });
}).listen(Number(values.port), values.host);
