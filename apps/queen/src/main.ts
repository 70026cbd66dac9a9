import { queenProgram } from "./cli/program.ts";

// A reader that leaves early (`queen events | head`) is no failure of ours.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
  });
}

process.exitCode = await queenProgram(process.argv.slice(2));
