import { parseWorkerId, QhError, type WorkerId } from "@queen-and-hive/protocol";

/** The worker that a path names. Throws `worker_not_found`: what is no worker id is no worker of ours. */
export function workerParam(text: string): WorkerId {
  const workerId = parseWorkerId(text);
  if (workerId === null)
    throw new QhError("worker_not_found", `cannot find the worker ${JSON.stringify(text)}: write worker-<uuid>`);
  return workerId;
}
