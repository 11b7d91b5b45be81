// Finds a name that a JSON object has twice: JSON.parse takes the last of them, other readers the first.

/** The first name that an object in the text has for the second time, at whatever depth; undefined where there is none. `text` is valid JSON. */
export function duplicateKey(text: string): string | undefined {
  /** Names of each object that is open; null for an array. */
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
