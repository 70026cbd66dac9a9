/** A parsed answer: its status, its headers and its JSON. */
export interface JsonAnswer {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of many shapes and assert each field
  readonly body: any;
}

/** Sends JSON and reads JSON. */
export async function postJson(url: string, body: unknown, headers: Readonly<Record<string, string>> = {}): Promise<JsonAnswer> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
  return { status: response.status, headers: response.headers, body: await response.json() };
}

/** Reads JSON. */
export async function getJson(url: string, headers: Readonly<Record<string, string>> = {}): Promise<JsonAnswer> {
  const response = await fetch(url, { headers });
  return { status: response.status, headers: response.headers, body: await response.json() };
}

/** A whole event stream: its events' names and data, in order. */
export async function readStream(response: Response): Promise<readonly { readonly event: string; readonly data: string }[]> {
  const text = await response.text();
  return text
    .split("\n\n")
    .filter((frame) => frame !== "")
    .map((frame) => {
      const lines = frame.split("\n");
      const fieldOf = (name: string): string => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2) ?? "";
      return { event: fieldOf("event"), data: fieldOf("data") };
    });
}

/** A streaming request. */
export function postStream(url: string, body: object, signal?: AbortSignal): Promise<Response> {
  return fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ ...body, stream: true }),
    ...(signal === undefined ? {} : { signal }),
  });
}

/** One user message. */
export function asks(text: string): readonly { readonly role: "user"; readonly content: string }[] {
  return [{ role: "user", content: text }];
}
