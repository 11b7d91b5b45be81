// Finds a name that a JSON object has twice.

/**
 * The first name that an object in the text has for the second time, at any depth; undefined if
 * there is none. `text` must be valid JSON. `JSON.parse` takes the last of such values, other
 * readers the first, so they would disagree.
 */
export function duplicateKey(text: string): string | undefined {
  /** The names of each open object; null for an array. */
  const open: (Set<string> | null)[] = [];
  let mayBeName = false;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === '{' || character === '[') {
      open.push(character === '{' ? new Set() : null);
      mayBeName = character === '{';
    } else if (character === '}' || character === ']') open.pop();
    else if (character === ',') mayBeName = open.at(-1) instanceof Set;
    else if (character === '"') {
      const end = stringEnd(text, at);
      const names = open.at(-1);
      if (mayBeName && names) {
        const name = JSON.parse(text.slice(at, end)) as string;
        if (names.has(name)) return name;
        names.add(name);
      }
      mayBeName = false;
      at = end - 1;
    }
  }
  return undefined;
}

function stringEnd(text: string, start: number): number {
  let at = start + 1;
  while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at + 1;
}
