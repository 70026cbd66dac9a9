/** Disposes of what a failed start has left, then throws why it failed: that is what the test's author wants to read. */
export async function giveUp(left: AsyncDisposable, why: unknown): Promise<never> {
  try {
    await left[Symbol.asyncDispose]();
  } catch {
    // The first failure explains the second.
  }
  throw why;
}
