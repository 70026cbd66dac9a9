// An engine that loads for 100 ms, says how long its process has lived by then, and calls back.
import { request } from "node:http";

const { HIVE_CALLBACK_URL, HIVE_CALLBACK_TOKEN, HIVE_WORKER_ID, HIVE_HOST, HIVE_PORT } = process.env;
setTimeout(() => {
  console.log(`took ${performance.now()}`);
  const url = `http://${HIVE_HOST}:${HIVE_PORT}`;
  const body = { worker_id: HIVE_WORKER_ID, url, model_ref: "timed", backend: "timed", device: "cpu" };
  const headers = { authorization: `Bearer ${HIVE_CALLBACK_TOKEN}`, "content-type": "application/json" };
  request(HIVE_CALLBACK_URL, { method: "POST", headers }, (answer) => answer.resume()).end(JSON.stringify(body));
}, 100);
setInterval(() => undefined, 1_000_000);
