/** Burns CPU for this long and hears nothing meanwhile. */
export function compute(ms: number): void {
  const endMs = performance.now() + ms;
  while (performance.now() < endMs);
}
