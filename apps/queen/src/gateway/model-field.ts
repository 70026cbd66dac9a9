/**
 * The text of a JSON object with the value of its own `model` fields replaced; every other character stays as the
 * client wrote it (large numbers, `__proto__`, double keys). The text must be a valid JSON object.
 */
export function replaceModel(text: string, model: string): string {
  const value = JSON.stringify(model);
  let result = "";
  let copied = 0;
  for (const span of modelValues(text)) {
    result += text.slice(copied, span.start) + value;
    copied = span.end;
  }
  return result + text.slice(copied);
}

interface Span {
  readonly start: number;
  readonly end: number;
}

/** Where the string values of the outermost `model` keys stand. */
function* modelValues(text: string): Generator<Span> {
  let depth = 0;
  let previous: Span | null = null;
  let isModel = false;
  for (let index = 0; index < text.length; index += 1) {
    switch (text[index]) {
      case "{":
      case "[":
        depth += 1;
        break;
      case "}":
      case "]":
        depth -= 1;
        break;
      case ":":
        isModel = depth === 1 && previous !== null && JSON.parse(text.slice(previous.start, previous.end)) === "model";
        break;
      case ",":
        isModel = false;
        break;
      case '"': {
        const span: Span = { start: index, end: endOfString(text, index) };
        if (isModel && depth === 1) yield span;
        isModel = false;
        previous = span;
        index = span.end - 1;
        break;
      }
      default:
    }
  }
}

function endOfString(text: string, start: number): number {
  let index = start + 1;
  while (index < text.length && text[index] !== '"') index += text[index] === "\\" ? 2 : 1;
  return index + 1;
}
