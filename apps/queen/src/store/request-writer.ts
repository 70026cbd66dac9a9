import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from "node:worker_threads";
import { COLUMNS, type RowValue } from "./request-rows.ts";
import type { RequestThreadData, RequestThreadJob, RowsLost } from "./request-thread.ts";

/** So many rows may wait for the disk; further ones are lost. */
const WAITING_ROWS_MAX = 20_000;
/** How long `settle` waits for the disk, milliseconds. */
const SETTLE_MS = 5_000;
/** It holds one group of rows. */
const YOUNG_GENERATION_MB = 4;

/** The thread at work. */
interface Thread {
  readonly port: MessagePort;
  readonly done: Int32Array<SharedArrayBuffer>;
  /** The rows of each job that is not known to be over, oldest first. */
  readonly waiting: number[];
  /** How many jobs are known to be over. */
  seen: number;
}

/**
 * Hands groups of request rows to a thread that writes them; it begins with the first job. `onLost` is told of rows that were
 * not taken.
 */
export class RequestWriter implements Disposable {
  readonly #path: string;
  readonly #onLost: (rows: number, error: unknown) => void;
  #thread: Thread | null = null;
  #isClosed = false;

  constructor(path: string, onLost: (rows: number, error: unknown) => void) {
    this.#path = path;
    this.#onLost = onLost;
  }

  /** Has these rows written, their values one behind the other. */
  write(values: readonly RowValue[]): void {
    const rows = values.length / COLUMNS.length;
    if (this.#isClosed) this.#onLost(rows, new Error("the store is closed"));
    else if (this.#waitingRows() + rows > WAITING_ROWS_MAX) {
      this.#onLost(rows, new Error(`${WAITING_ROWS_MAX} rows wait for the disk already`));
    } else this.#send(values, rows);
  }

  /** Has the write-ahead log copied into the database. */
  checkpoint(): void {
    if (!this.#isClosed) this.#send("checkpoint", 0);
  }

  /** Returns when all that was handed over is written or lost. It keeps the caller's thread waiting: for the end, and for tests. */
  settle(): void {
    const thread = this.#thread;
    if (thread === null) return;
    const endMs = performance.now() + SETTLE_MS;
    for (countDone(thread); thread.waiting.length > 0; countDone(thread)) {
      const leftMs = endMs - performance.now();
      if (leftMs <= 0) break;
      Atomics.wait(thread.done, 0, thread.seen, leftMs);
    }
    for (let lost = receiveMessageOnPort(thread.port); lost !== undefined; lost = receiveMessageOnPort(thread.port)) {
      this.#tell(lost.message);
    }
  }

  /** Ends the thread when it has done everything. */
  [Symbol.dispose](): void {
    const thread = this.#thread;
    if (thread === null || this.#isClosed) return;
    this.#send("end", 0);
    this.#isClosed = true;
    this.settle();
    const rows = this.#waitingRows();
    if (rows > 0) this.#onLost(rows, new Error(`the disk has not taken them within ${SETTLE_MS} ms`));
  }

  #send(job: RequestThreadJob, rows: number): void {
    this.#thread ??= this.#start();
    this.#thread.port.postMessage(job);
    this.#thread.waiting.push(rows);
  }

  #waitingRows(): number {
    if (this.#thread === null) return 0;
    countDone(this.#thread);
    return this.#thread.waiting.reduce((sum, rows) => sum + rows, 0);
  }

  #start(): Thread {
    const { port1: port, port2 } = new MessageChannel();
    const done = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
    const worker = new Worker(new URL("./request-thread.ts", import.meta.url), {
      workerData: { path: this.#path, port: port2, done } satisfies RequestThreadData,
      transferList: [port2],
      execArgv: [],
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
    });
    const thread: Thread = { port, done, waiting: [], seen: 0 };
    let why: unknown = new Error("the thread that writes them has ended");
    worker.on("error", (error) => {
      why = error;
    });
    // The next job begins another.
    worker.on("exit", () => {
      if (this.#isClosed || this.#thread !== thread) return;
      const rows = this.#waitingRows();
      this.#thread = null;
      if (rows > 0) this.#onLost(rows, why);
    });
    port.on("message", (lost: RowsLost) => this.#tell(lost));
    // What is left to write at the end, the end waits for.
    port.unref();
    worker.unref();
    return thread;
  }

  #tell({ rows, error }: RowsLost): void {
    if (rows > 0) this.#onLost(rows, error);
  }
}

function countDone(thread: Thread): void {
  const done = Atomics.load(thread.done, 0);
  thread.waiting.splice(0, done - thread.seen);
  thread.seen = done;
}
