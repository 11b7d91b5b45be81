// Makes characters visible that a terminal would obey or not show: text from another machine or from
// a file must not move the cursor, hide, or read differently from what it is.

/**
 * Control characters, format characters (text direction, zero width, tags), line and paragraph
 * separators, halves of surrogate pairs, and letters that are drawn as nothing.
 */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\u115f\u1160\u17b4\u17b5\u3164\uffa0]/gu;

/** The same, less what JSON escapes by itself. */
const UNSEEN_IN_JSON = /[\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}\u115f\u1160\u17b4\u17b5\u3164\uffa0]/gu;

/**
 * The text with each such character written as `\u001b`, so that it is on one line and looks like
 * what it is. Text longer than `mostCharacters` is cut, and says by how much.
 */
export function visible(text: string, mostCharacters = Number.POSITIVE_INFINITY): string {
  const shown = text.length > mostCharacters ? text.slice(0, mostCharacters) : text;
  const seen = shown.replace(UNSEEN, escaped);
  return shown === text ? seen : `${seen}… (${text.length - shown.length} more characters)`;
}

/** JSON text in which such characters are escaped; it reads back as the same value. */
export function visibleJson(json: string): string {
  return json.replace(UNSEEN_IN_JSON, escaped);
}

function escaped(character: string): string {
  let text = '';
  for (let i = 0; i < character.length; i++) text += `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`;
  return text;
}
