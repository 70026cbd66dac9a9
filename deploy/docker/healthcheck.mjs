// Ends with 0 when the queen takes requests: /readyz answers 200 once a hive of hers runs.
const TIMEOUT_MS = 4_000;

try {
  const response = await fetch("http://127.0.0.1:8080/readyz", { signal: AbortSignal.timeout(TIMEOUT_MS) });
  process.exitCode = response.ok ? 0 : 1;
} catch {
  process.exitCode = 1;
}
