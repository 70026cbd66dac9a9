/** For `skipIf`: whether a machine lacks what some tests need; those who run them are told, since a skipped test proves nothing. */
export function skipsWithout(isThere: boolean, needed: string): boolean {
  if (!isThere) process.stderr.write(`tests are skipped on this machine, which lacks ${needed}\n`);
  return !isThere;
}
