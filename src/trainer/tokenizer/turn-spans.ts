// Finds the turns of the assistant in a rendered conversation: each is what its template adds to the
// turns before it, after the header of an answer.

/** A conversation as text. */
export interface RenderedTurns {
  readonly text: string;
  /** Answers as ranges of code units, in order. */
  readonly spans: readonly (readonly [number, number])[];
  /** Answers that could not be found in the text, and are not learnt. */
  readonly lost: number;
}

/** Renders so many turns from the first; with `prompt`, with the header of the next answer. */
type Render = (count: number, prompt: boolean) => string;

/**
 * The spans of the turns `answers`. A template that renders earlier turns otherwise once more
 * follow (Qwen3 drops their thoughts, Mistral moves the system prompt) is searched for the same
 * words.
 */
export function spansByDifference(
  render: Render,
  turns: readonly { readonly content?: unknown }[],
  answers: readonly number[],
): RenderedTurns {
  const text = render(turns.length, false);
  const spans: [number, number][] = [];
  let done = 0;
  let lost = 0;
  for (const index of answers) {
    const span = spanOf(
      text,
      done,
      () => render(index, true),
      index + 1 === turns.length ? () => text : () => render(index + 1, false),
      turns[index],
    );
    if (!span) {
      lost++;
      continue;
    }
    spans.push(span);
    done = span[1];
  }
  return { text, spans, lost };
}

function spanOf(
  text: string,
  done: number,
  renderBefore: () => string,
  renderAfter: () => string,
  turn: { readonly content?: unknown } | undefined,
): [number, number] | undefined {
  const [before, after] = [attempt(renderBefore), attempt(renderAfter)];
  if (before === undefined || after === undefined || !after.startsWith(before)) return undefined;
  if (before.length >= done && text.startsWith(after)) return [before.length, after.length];
  // The words themselves, behind the end of the header and before the end of the turn.
  const said = after.slice(before.length);
  const header = before.slice(-HEADER_CHARACTERS);
  const content = typeof turn?.content === 'string' ? turn.content : '';
  const tails = [said, ...[content, content.trim()].filter((words) => words.trim() !== '').flatMap((words) => tailFrom(said, words))];
  const starts = tails.flatMap((tail): [number, number][] => {
    const at = tail.trim() === '' || header === '' ? -1 : text.indexOf(header + tail, Math.max(done - header.length, 0));
    return at < 0 ? [] : [[at + header.length, at + header.length + tail.length]];
  });
  return starts.reduce<[number, number] | undefined>((first, one) => (first && first[0] <= one[0] ? first : one), undefined);
}

function tailFrom(said: string, words: string): string[] {
  const at = said.lastIndexOf(words);
  return at < 0 ? [] : [said.slice(at)];
}

/** Enough of a header to be no part of a question. */
const HEADER_CHARACTERS = 8;

/** A template may refuse a part of a conversation that it takes as a whole. */
function attempt(render: () => string): string | undefined {
  try {
    return render();
  } catch {
    return undefined;
  }
}
