// Gives `strip('…')`, `lstrip('…')` and `rstrip('…')` of chat templates the characters that they
// name: the engine strips blanks whatever it is told, which are other tokens (Qwen3, GLM).

type Node = { [field: string]: unknown };

/** The name under which a template finds the function. */
export const STRIP_CHARACTERS = 'strip_characters';

const SIDES: ReadonlySet<unknown> = new Set(['strip', 'lstrip', 'rstrip']);

/** Turns each such call of a parsed template, in place, into one of `stripCharacters`. */
export function callStripCharacters(parsed: object): void {
  const waiting: unknown[] = [parsed];
  while (waiting.length > 0) {
    const node = waiting.pop();
    if (Array.isArray(node) || node instanceof Map) for (const one of node.values()) waiting.push(one);
    else if (node !== null && typeof node === 'object') {
      if ((node as Node).type === 'CallExpression') change(node as Node);
      for (const one of Object.values(node)) waiting.push(one);
    }
  }
}

function change(call: Node): void {
  const { object, property, computed, type } = call.callee as Node;
  const side = (property as Node | undefined)?.value;
  const args = call.args as unknown[];
  if (type !== 'MemberExpression' || computed || !SIDES.has(side) || args.length === 0) return;
  call.callee = { type: 'Identifier', value: STRIP_CHARACTERS };
  call.args = [{ type: 'StringLiteral', value: side }, object, ...args];
}

/** `text` without the `characters` at its sides, as Python's `str.strip`; throws for what is no text. */
export function stripCharacters(side: string, text: unknown, characters: unknown): string {
  if (typeof text !== 'string') throw new TypeError(`${side}() of something that is no text`);
  if (characters === null || characters === undefined)
    return side === 'lstrip' ? text.trimStart() : side === 'rstrip' ? text.trimEnd() : text.trim();
  if (typeof characters !== 'string') throw new TypeError(`${side}() takes characters`);
  const some = new Set(characters);
  const letters = [...text];
  let [start, end] = [0, letters.length];
  if (side !== 'rstrip') while (start < end && some.has(letters[start] as string)) start++;
  if (side !== 'lstrip') while (end > start && some.has(letters[end - 1] as string)) end--;
  return letters.slice(start, end).join('');
}
