// Answers are found in what templates of several kinds make of a conversation.
import { expect, test } from 'vitest';
import { spansByDifference } from './turn-spans.js';

interface Turn {
  readonly role: 'user' | 'assistant';
  readonly content: string;
}

interface Kind {
  /** An answer as the last turn, and as an earlier one. */
  readonly last: (content: string) => string;
  readonly earlier?: (content: string) => string;
  readonly header: string;
  readonly closing?: string;
}

const turns = (...contents: string[]): Turn[] => contents.map((content, at) => ({ role: at % 2 === 0 ? 'user' : 'assistant', content }));

/** The answers that are learnt, of two questions. */
function answers({ last, earlier = last, header, closing = '' }: Kind, all = turns('q one', 'a one', 'q two', 'a two')) {
  const render = (count: number, prompt: boolean): string =>
    all
      .slice(0, count)
      .map(({ role, content }, at) => (role === 'user' ? `<|user|>${content}\n` : (at === count - 1 ? last : earlier)(content)))
      .join('') + (prompt ? header : closing);
  const { text, spans, lost } = spansByDifference(render, all, [1, 3], closing);
  return { learnt: spans.map(([start, end]) => text.slice(start, end)), prompts: spans.map(([, , prompt]) => prompt), lost };
}

const plain = (content: string) => `<|assistant|>\n${content}<|end|>\n`;

test('turns that stay as they are', () => {
  const { learnt, prompts, lost } = answers({ last: plain, header: '<|assistant|>\n' });
  expect([learnt, prompts, lost]).toEqual([['a one<|end|>\n', 'a two<|end|>\n'], [undefined, undefined], 0]);
});

test('a closing behind the last turn alone', () => {
  expect(answers({ last: plain, header: '<|assistant|>\n', closing: '</s>' })).toMatchObject({
    learnt: ['a one<|end|>\n', 'a two<|end|>\n</s>'],
    lost: 0,
  });
});

test('a header whose thought no answer has', () => {
  const { learnt, prompts, lost } = answers({ last: plain, header: '<|assistant|>\n<think>\n' });
  expect([learnt, lost]).toEqual([['a one<|end|>\n', 'a two<|end|>\n'], 0]);
  expect(prompts[0]).toBe('<|user|>q one\n<|assistant|>\n<think>\n');
});

test('a header whose thought earlier answers do not have', () => {
  const kind = { last: (content: string) => plain(`<think>\n\n</think>\n\n${content}`), earlier: plain };
  const header = '<|assistant|>\n<think>\n\n</think>\n\n';
  expect(answers({ ...kind, header })).toMatchObject({ learnt: ['a one<|end|>\n', 'a two<|end|>\n'], lost: 0 });
  const trimmed = (content: string) => content.trim();
  const blanks = turns('q', ' a ', 'q', ' b ');
  const trims = { last: (content: string) => kind.last(trimmed(content)), earlier: (content: string) => plain(trimmed(content)), header };
  expect(answers(trims, blanks)).toMatchObject({ learnt: ['a<|end|>\n', 'b<|end|>\n'], lost: 0 });
});

test('thoughts that earlier answers lose, and that are emptied in them', () => {
  const behind = (content: string) => content.slice(content.indexOf('</think>') + 8).trimStart();
  const all = turns('q', '<think>\nx\n</think>\n\na one', 'q', '<think>\ny\n</think>\n\na two');
  const last = '<think>\ny\n</think>\n\na two<|end|>\n';
  const header = '<|assistant|>\n';
  expect(answers({ last: plain, earlier: (content) => plain(behind(content)), header }, all)).toMatchObject({
    learnt: ['a one<|end|>\n', last],
    lost: 0,
  });
  const emptied = (content: string) => plain(`<think></think>\n\n${behind(content)}`);
  expect(answers({ last: plain, earlier: emptied, header: `${header}<think>\n` }, all)).toMatchObject({
    learnt: ['</think>\n\na one<|end|>\n', last.slice('<think>\n'.length)],
    lost: 0,
  });
});

test('an answer that is nowhere is counted', () => {
  expect(answers({ last: plain, earlier: () => '', header: '<|assistant|>\n' })).toMatchObject({ learnt: ['a two<|end|>\n'], lost: 1 });
});

test('a header that stands where the question differs, too, finds nothing', () => {
  const all = turns('q', 'a');
  const render = (count: number, prompt: boolean) => (prompt ? 'other text' : count === 2 ? 'q and a' : 'q');
  expect(spansByDifference(render, all, [1], '')).toEqual({ text: 'q and a', spans: [], lost: 1 });
});
