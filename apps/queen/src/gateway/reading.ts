import type { ServerResponse } from "node:http";

/** The longest time that a timer of Node takes. */
const TIMER_MS_MAX = 2_147_483_647;

/**
 * Notices that a client does not read. A socket's own timer is the only one that sees how a long write goes on: it starts
 * anew with whatever the operating system has taken, so that a slow client which reads steadily is never given up.
 */
export class Reading {
  readonly #response: ServerResponse;
  readonly #limitMs: number;
  readonly #onStall: () => void;
  #listens = false;

  /** `onStall` is called when the client, while that is expected of it, has read nothing for `limitMs`; Infinity never calls. */
  constructor(response: ServerResponse, limitMs: number, onStall: () => void) {
    this.#response = response;
    this.#limitMs = limitMs;
    this.#onStall = onStall;
  }

  /** Something is written, and the client has to read. */
  expect(): void {
    if (!Number.isFinite(this.#limitMs)) return;
    if (!this.#listens) this.#response.on("timeout", this.#onStall);
    this.#listens = true;
    this.#response.socket?.setTimeout(Math.min(this.#limitMs, TIMER_MS_MAX));
  }

  /** All is read. */
  expectNothing(): void {
    this.#response.socket?.setTimeout(0);
  }
}
