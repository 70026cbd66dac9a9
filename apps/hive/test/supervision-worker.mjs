// A worker for the tests of the supervision: serves /health and calls back when told.
import { createServer } from "node:http";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    port: { type: "string" },
    callback: { type: "string", default: "1" },
    "load-ms": { type: "string", default: "0" },
    "ignore-term": { type: "boolean", default: false },
  },
});
const { env } = process;
if (values["ignore-term"]) process.on("SIGTERM", () => undefined);
const readyAt = Date.now() + Number(values["load-ms"]);
const server = createServer((_, response) => {
  const loading = Date.now() < readyAt;
  response.statusCode = loading ? 503 : 200;
  response.end(JSON.stringify(loading ? { error: { message: "Loading model" } } : { status: "ok" }));
});
server.listen(Number(values.port), env.HIVE_HOST, async () => {
  for (let sent = 0; sent < Number(values.callback); sent += 1) {
    const response = await fetch(env.HIVE_CALLBACK_URL, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${env.HIVE_CALLBACK_TOKEN}` },
      body: JSON.stringify({
        worker_id: env.HIVE_WORKER_ID,
        url: `http://${env.HIVE_HOST}:${values.port}`,
        model_ref: env.HIVE_MODEL,
        backend: "test",
        device: "cpu",
        slots: 2,
      }),
    });
    console.log(`callback ${response.status} ${await response.text()}`);
  }
});
