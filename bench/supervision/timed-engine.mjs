// An engine that loads for 100 ms and takes 50 ms to end after TERM. It writes down itself when it began and when it was done
// with each, on the machine's clock: what it takes, nobody else measures.
import { appendFileSync } from "node:fs";
import { request } from "node:http";

const { HIVE_CALLBACK_URL, HIVE_CALLBACK_TOKEN, HIVE_WORKER_ID, HIVE_HOST, HIVE_PORT, TIMES_DIR } = process.env;
const note = (what, ms) => appendFileSync(`${TIMES_DIR}/${HIVE_WORKER_ID}`, `${what} ${ms}\n`);

setTimeout(() => {
  const url = `http://${HIVE_HOST}:${HIVE_PORT}`;
  const body = { worker_id: HIVE_WORKER_ID, url, model_ref: "timed", backend: "timed", device: "cpu" };
  const headers = { authorization: `Bearer ${HIVE_CALLBACK_TOKEN}`, "content-type": "application/json" };
  // From the start of its process on.
  note("start", performance.now());
  request(HIVE_CALLBACK_URL, { method: "POST", headers }, (answer) => answer.resume()).end(JSON.stringify(body));
}, 100);
process.once("SIGTERM", () => {
  const heardMs = performance.now();
  setTimeout(() => {
    note("stop", performance.now() - heardMs);
    process.exit(0);
  }, 50);
});
setInterval(() => undefined, 1_000_000);
