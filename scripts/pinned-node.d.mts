/** What Node is told that runs this file with these arguments and is not told already. */
export function flagsFor(file: string, args: readonly string[]): readonly string[];
