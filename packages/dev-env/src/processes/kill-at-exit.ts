import { killOnce } from "./leave-nothing.ts";

const folders = new Set<string>();
let installed = false;

/** Kills whatever has to do with this folder when the test process ends before its scope has; disposing forgets it. */
export function killAtExit(folder: string): Disposable {
  folders.add(folder);
  if (!installed) {
    installed = true;
    process.on("exit", () => {
      for (const left of folders) killOnce({ folder: left });
    });
  }
  return { [Symbol.dispose]: () => void folders.delete(folder) };
}
