/** What Node is told that runs this file with these arguments and is not told already; `told`: this process's own flags. */
export function nodeFlagsFor(file: string, args: readonly string[], told?: readonly string[]): readonly string[];
