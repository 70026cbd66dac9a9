import { type TestQueen, until } from "@queen-and-hive/dev-env";

/** Lets the debugger of a program choose its port, and say which. */
export const DEBUGGABLE = { NODE_OPTIONS: "--inspect-port=127.0.0.1:0" } as const;

const OPEN_MS = 10_000;

/**
 * Has a queen that was started `DEBUGGABLE` collect all garbage, as a debugger would (Chrome DevTools Protocol,
 * `HeapProfiler.collectGarbage`). What the old generation holds of requests that are long over goes only then, which V8 itself puts off
 * until there is a lot of it.
 */
export async function collectGarbage({ program }: TestQueen): Promise<void> {
  program.send("SIGUSR1");
  const url = await until(
    () => /Debugger listening on (ws:\S+)/.exec(program.output())?.[1] ?? null,
    OPEN_MS,
    "the debugger of the queen to listen",
  );
  const socket = new WebSocket(url);
  try {
    await once(socket, "open");
    const answered = once(socket, "message");
    socket.send(JSON.stringify({ id: 1, method: "HeapProfiler.collectGarbage" }));
    await answered;
  } finally {
    socket.close();
  }
}

function once(socket: WebSocket, event: "open" | "message"): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.addEventListener(event, () => resolve(), { once: true });
    for (const end of ["error", "close"]) {
      socket.addEventListener(end, () => reject(new Error(`cannot collect garbage: the debugger ended (${end})`)), {
        once: true,
      });
    }
  });
}
