// Finds the tokens that were added to a vocabulary in a text, as the reference does (AddedVocabulary
// of the tokenizers library): leftmost and longest first, whole words only, with the blanks beside.

/** A token beside the model's vocabulary. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly singleWord: boolean;
  readonly lstrip: boolean;
  readonly rstrip: boolean;
  /** Looked for after the text was normalized, itself normalized. */
  readonly normalized: boolean;
  readonly special: boolean;
}

/** A part of a text: an added token, or text between them. */
export interface Part {
  readonly id?: number;
  readonly text: string;
  /** Where the part begins, in code units. */
  readonly start: number;
}

interface Node {
  readonly next: Map<string, Node>;
  token?: AddedToken;
}

// The reference's \w and \s are Unicode's.
const WORD_BEFORE = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]$/u;
const WORD_AFTER = /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u;
const SPACE = /\p{White_Space}/u;

/** Cuts texts at the tokens of a list. */
export class AddedTokens {
  readonly #root: Node = { next: new Map() };
  readonly #empty: boolean;

  /** `contentOf` gives the text that a token is looked for as. */
  constructor(tokens: readonly AddedToken[], contentOf: (token: AddedToken) => string = ({ content }) => content) {
    this.#empty = tokens.length === 0;
    for (const token of tokens) {
      let node = this.#root;
      const content = contentOf(token);
      if (content === '') continue;
      for (let at = 0; at < content.length; at++) {
        const unit = content[at] as string;
        const next = node.next.get(unit) ?? { next: new Map() };
        node.next.set(unit, next);
        node = next;
      }
      node.token ??= token;
    }
  }

  /** The parts of a text in order; with `plain`, special tokens stay text. */
  split(text: string, plain: boolean): Part[] {
    if (this.#empty) return text === '' ? [] : [{ text, start: 0 }];
    const parts: Part[] = [];
    let done = 0;
    for (let at = 0; at < text.length; ) {
      const found = this.#longestAt(text, at);
      if (!found) {
        at++;
        continue;
      }
      const { token, end } = found;
      const begin = at;
      at = end;
      if ((plain && token.special) || (token.singleWord && !isWhole(text, begin, end))) continue;
      const start = token.lstrip ? Math.max(spaceBefore(text, begin), done) : begin;
      const stop = token.rstrip ? spaceAfter(text, end) : end;
      if (done < start) parts.push({ text: text.slice(done, start), start: done });
      parts.push({ id: token.id, text: text.slice(start, stop), start });
      done = stop;
      at = Math.max(at, stop);
    }
    if (done < text.length) parts.push({ text: text.slice(done), start: done });
    return parts;
  }

  #longestAt(text: string, start: number): { token: AddedToken; end: number } | undefined {
    let node: Node | undefined = this.#root;
    let found: { token: AddedToken; end: number } | undefined;
    for (let at = start; at < text.length; at++) {
      node = node.next.get(text[at] as string);
      if (!node) break;
      if (node.token) found = { token: node.token, end: at + 1 };
    }
    return found;
  }
}

function isWhole(text: string, start: number, end: number): boolean {
  return !WORD_BEFORE.test(text.slice(Math.max(0, start - 2), start)) && !WORD_AFTER.test(text.slice(end, end + 2));
}

function spaceBefore(text: string, end: number): number {
  let start = end;
  while (start > 0 && SPACE.test(text[start - 1] as string)) start--;
  return start;
}

function spaceAfter(text: string, start: number): number {
  let end = start;
  while (end < text.length && SPACE.test(text[end] as string)) end++;
  return end;
}

/** The added tokens of a tokenizer.json. */
export function addedTokensOf(json: Record<string, unknown>): AddedToken[] {
  const list: unknown[] = Array.isArray(json.added_tokens) ? json.added_tokens : [];
  return list.map((entry) => {
    const token = entry as Record<string, unknown>;
    const special = token.special === true;
    return {
      id: Number(token.id),
      content: String(token.content),
      singleWord: token.single_word === true,
      lstrip: token.lstrip === true,
      rstrip: token.rstrip === true,
      normalized: typeof token.normalized === 'boolean' ? token.normalized : !special,
      special,
    };
  });
}
