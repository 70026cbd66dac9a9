/** `uname -m` -> how Node, and so the name of our executable, calls the architecture. */
export const ARCHITECTURES: Readonly<Record<string, string>> = { x86_64: "x64", aarch64: "arm64" };
