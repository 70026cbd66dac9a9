import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from "node:worker_threads";
import { COMMITTING, DONE, GIVEN_UP, PHASE, type RequestJob, type RequestThreadData, type RowsLost } from "./request-job.ts";
import { COLUMNS, type RowValue } from "./request-rows.ts";

/** So many rows may wait for the disk; further ones are lost. */
const WAITING_ROWS_MAX = 20_000;
/** How long `settle` waits for the disk unless told, milliseconds; longer than the thread waits for others who write. */
const SETTLE_MS = 5_000;
/** So long after a thread has failed no other is begun, milliseconds. */
const RESTART_AFTER_MS = 1_000;

/** The thread at work. */
interface Thread {
  readonly port: MessagePort;
  readonly state: Int32Array<SharedArrayBuffer>;
  /** The rows of each job that is not known to be over, oldest first. */
  readonly waiting: number[];
  /** How many jobs are known to be over. */
  seen: number;
}

/**
 * Hands groups of request rows to a thread that writes them; it begins with the first job. `onLost` is told of rows that were
 * not taken. Nothing here throws: accounting keeps nobody from their work.
 */
export class RequestWriter implements Disposable {
  readonly #path: string;
  readonly #onLost: (rows: number, error: unknown) => void;
  readonly #settleMs: number;
  #thread: Thread | null = null;
  /** Why there is no thread for now. */
  #failure: { readonly error: unknown; readonly untilMs: number } | null = null;
  #isClosed = false;

  constructor(path: string, onLost: (rows: number, error: unknown) => void, settleMs = SETTLE_MS) {
    this.#path = path;
    this.#onLost = onLost;
    this.#settleMs = settleMs;
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

  /** Returns when all that was handed over is written or lost, or after `settleMs`. It keeps the caller's thread waiting. */
  settle(): void {
    const thread = this.#thread;
    if (thread === null) return;
    const endMs = performance.now() + this.#settleMs;
    for (countDone(thread); thread.waiting.length > 0; countDone(thread)) {
      const leftMs = endMs - performance.now();
      if (leftMs <= 0) break;
      Atomics.wait(thread.state, DONE, thread.seen, leftMs);
    }
    for (let lost = receiveMessageOnPort(thread.port); lost !== undefined; lost = receiveMessageOnPort(thread.port)) {
      this.#tell(lost.message.rows, lost.message.error);
    }
  }

  /** Ends the thread when it has done everything; what it has not within `settleMs` is lost. */
  [Symbol.dispose](): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const thread = this.#thread;
    if (thread === null) return;
    this.#send("end", 0);
    this.settle();
    this.#tell(giveUp(thread), new Error(`the disk has not taken them within ${this.#settleMs} ms`));
    // What it says of them is told already.
    thread.port.close();
    this.#thread = null;
  }

  #send(job: RequestJob, rows: number): void {
    const thread = this.#running();
    if (thread === null) {
      this.#tell(rows, this.#failure?.error);
      return;
    }
    thread.port.postMessage(job);
    thread.waiting.push(rows);
  }

  #waitingRows(): number {
    if (this.#thread === null) return 0;
    countDone(this.#thread);
    return this.#thread.waiting.reduce((sum, rows) => sum + rows, 0);
  }

  /** The thread, which is begun if need be; null when none can be begun now. */
  #running(): Thread | null {
    if (this.#thread !== null) return this.#thread;
    if (this.#failure !== null && performance.now() < this.#failure.untilMs) return null;
    try {
      this.#thread = this.#begin();
      this.#failure = null;
    } catch (error) {
      this.#fail(error);
    }
    return this.#thread;
  }

  #begin(): Thread {
    const { port1: port, port2 } = new MessageChannel();
    const state = new Int32Array(new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT));
    let worker: Worker;
    try {
      worker = new Worker(new URL("./request-thread.ts", import.meta.url), {
        workerData: { path: this.#path, port: port2, state } satisfies RequestThreadData,
        transferList: [port2],
        execArgv: [],
      });
    } catch (error) {
      port.close();
      throw error;
    }
    const thread: Thread = { port, state, waiting: [], seen: 0 };
    let why: unknown = new Error("the thread that writes them has ended");
    worker.on("error", (error) => {
      why = error;
    });
    worker.on("exit", () => {
      if (this.#isClosed) return;
      const rows = this.#waitingRows();
      this.#fail(why);
      this.#tell(rows, why);
    });
    port.on("message", ({ rows, error }: RowsLost) => this.#tell(rows, error));
    // What is left to write at the end, the end waits for.
    port.unref();
    worker.unref();
    return thread;
  }

  #fail(error: unknown): void {
    this.#thread = null;
    this.#failure = { error, untilMs: performance.now() + RESTART_AFTER_MS };
  }

  #tell(rows: number, error: unknown): void {
    if (rows > 0) this.#onLost(rows, error);
  }
}

/** What is not written from now on is lost: how many rows that are. */
function giveUp(thread: Thread): number {
  countDone(thread);
  const { seen, waiting } = thread;
  const [first = 0] = waiting;
  const phase = Atomics.exchange(thread.state, PHASE, GIVEN_UP);
  countDone(thread);
  const underWay = phase === COMMITTING && thread.seen === seen ? first : 0;
  return waiting.reduce((sum, rows) => sum + rows, -underWay);
}

function countDone(thread: Thread): void {
  const done = Atomics.load(thread.state, DONE);
  thread.waiting.splice(0, done - thread.seen);
  thread.seen = done;
}
