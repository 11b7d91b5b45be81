// Finds the turns of the assistant in a rendered conversation: each is what its template adds to the
// turns before it, after the header of an answer.

/**
 * The range of an answer, in code units; with the text that a model is asked with, where that is no
 * front of the conversation: the answer begins with the first token that differs from it.
 */
export type Span = readonly [start: number, end: number, prompt?: string];

/** A conversation as text. */
export interface RenderedTurns {
  readonly text: string;
  /** Answers, in order. */
  readonly spans: readonly Span[];
  /** Answers that could not be found in the text, and are not learnt. */
  readonly lost: number;
}

/** Renders so many turns from the first; with `prompt`, with the header of the next answer. */
type Render = (count: number, prompt: boolean) => string;

type Turn = { readonly content?: unknown };

/**
 * The spans of the turns `answers`. `closing` is what a template may put behind the last turn alone
 * (Phi-3). A template that renders earlier turns otherwise once more follow (Qwen3 drops their
 * thoughts, Mistral moves the system prompt) is searched for the same words.
 */
export function spansByDifference(render: Render, turns: readonly Turn[], answers: readonly number[], closing: string): RenderedTurns {
  const text = render(turns.length, false);
  const spans: Span[] = [];
  let done = 0;
  let lost = 0;
  for (const index of answers) {
    const renderTurns = (count: number, prompt: boolean) => (count === turns.length && !prompt ? text : render(count, prompt));
    const span = spanOf(text, done, renderTurns, index, turns[index], closing);
    if (!span) {
      lost++;
      continue;
    }
    spans.push(span);
    done = span[1];
  }
  return { text, spans, lost };
}

function spanOf(text: string, done: number, render: Render, index: number, turn: Turn | undefined, closing: string): Span | undefined {
  const [before, after] = [attempt(() => render(index, true)), attempt(() => render(index + 1, false))];
  if (before === undefined || after === undefined) return undefined;
  const start = commonLength(before, after);
  const isFront = start === before.length;
  const question = isFront ? undefined : questionOf(after.slice(0, start), render, index, closing);
  if (!isFront && question === undefined) return undefined;
  for (const turns of [after, withoutEnd(after, closing)])
    if (start >= done && turns !== undefined && turns.length > start && text.startsWith(turns))
      return isFront ? [start, turns.length] : [start, turns.length, before];
  // The words themselves, behind the end of the header and before the end of the turn.
  const said = after.slice(start);
  const content = typeof turn?.content === 'string' ? turn.content : '';
  const words = [content, content.trim()].filter((one) => one.trim() !== '');
  const tails = [said, ...words.flatMap((one) => tailFrom(said, one)), ...behindThoughts(said)];
  const headers = headersOf(after.slice(0, start), question ?? questionOf(before, render, index, closing) ?? before);
  return searched(text, done, headers, tails) ?? searched(text, done, headers, openEnds(tails, closing));
}

/** The conversation up to the header of an answer; undefined where `before` does not begin with it. */
function questionOf(before: string, render: Render, index: number, closing: string): string | undefined {
  const whole = attempt(() => render(index, false));
  return [whole, whole === undefined ? undefined : withoutEnd(whole, closing)].find((one) => one !== undefined && before.startsWith(one));
}

/** The end of the header; behind it, without the parts that it may leave out in earlier turns (an empty thought). */
function headersOf(before: string, question: string): string[] {
  const header = before.slice(question.length, question.length + OPENING_CHARACTERS);
  const openings = [...header.matchAll(/[>\n]/g)].map(({ index }) => header.slice(0, index + 1));
  return [before.slice(-HEADER_CHARACTERS), ...openings.reverse().filter((one) => one.length >= HEADER_CHARACTERS)].filter(
    (one) => one !== '',
  );
}

/** The first place of any of the `tails` behind a header, of the first header that has one. */
function searched(text: string, done: number, headers: readonly string[], tails: readonly string[]): Span | undefined {
  for (const header of headers) {
    const found = tails.flatMap((tail): [number, number][] => {
      const at = tail.trim() === '' ? -1 : text.indexOf(header + tail, Math.max(done - header.length, 0));
      return at < 0 ? [] : [[at + header.length, at + header.length + tail.length]];
    });
    const [first] = found.sort(([a], [b]) => a - b);
    if (first) return first;
  }
  return undefined;
}

function openEnds(tails: readonly string[], closing: string): string[] {
  return tails.flatMap((tail) => withoutEnd(tail, closing) ?? []);
}

function withoutEnd(text: string, end: string): string | undefined {
  return end !== '' && text.endsWith(end) ? text.slice(0, -end.length) : undefined;
}

function commonLength(a: string, b: string): number {
  let length = 0;
  while (length < a.length && length < b.length && a.charCodeAt(length) === b.charCodeAt(length)) length++;
  return length;
}

/** The answer without its thoughts, and with the end of thoughts that are not there. */
function behindThoughts(said: string): string[] {
  const at = said.lastIndexOf(THOUGHT_END);
  return at < 0 ? [] : [said.slice(at + THOUGHT_END.length).trimStart(), said.slice(at)];
}

function tailFrom(said: string, words: string): string[] {
  const at = said.lastIndexOf(words);
  return at < 0 ? [] : [said.slice(at)];
}

/** Ends the thoughts that templates of reasoning models drop from earlier turns. */
const THOUGHT_END = '</think>';

/** Enough of a header to be no part of a question. */
const HEADER_CHARACTERS = 8;

/** Headers are shorter; every end of a tag or a line within so many characters may end one. */
const OPENING_CHARACTERS = 256;

/** A template may refuse a part of a conversation that it takes as a whole. */
function attempt(render: () => string): string | undefined {
  try {
    return render();
  } catch {
    return undefined;
  }
}
