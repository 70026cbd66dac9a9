// A thread that asks a queen for her health until it is told to stop, and then says what it has seen: what the bench's own
// thread does meanwhile does not count.
import { parentPort, workerData } from "node:worker_threads";
import { HealthSampler } from "@queen-and-hive/dev-env";

const sampler = new HealthSampler(workerData.url, workerData.connections);
parentPort?.once("message", async () => parentPort?.postMessage(await sampler.stop()));
parentPort?.postMessage("begun");
