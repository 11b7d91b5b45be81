// Names of fields from a command line: what is wrong with them, in words.
import { expect, test } from 'vitest';
import { parseNamedFields } from './named-fields.js';

test('pairs', () => {
  expect(parseNamedFields('prompt = question, answer=reply.text')).toEqual({ prompt: 'question', answer: 'reply.text' });
});

test.each([
  ['nonsense', /"nonsense" has no "="; write for example prompt=question,answer=reply/],
  ['prompt=a,answer', /"answer" has no "="/],
  ['question=a', /Unrecognized key: "question"/],
  ['prompt=a', /must name one of answer \(with prompt\), messages or text/],
])('%s is refused', (text, message) => {
  expect(() => parseNamedFields(text)).toThrow(message);
});
