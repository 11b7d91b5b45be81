// The shapes of instruction data, and errors that name the field.
import { expect, test } from 'vitest';
import { parseSample } from './sample.js';

const read = (value: unknown) => parseSample(value, 'f.jsonl line 7');

test('every shape becomes a prompt and an answer', () => {
  expect(read({ instruction: 'Sum up', context: 'A text', response: 'Short', category: 'summary' })).toEqual({
    prompt: 'Sum up\n\nA text',
    answer: 'Short',
    category: 'summary',
  });
  expect(read({ instruction: 'Say hi', input: '', output: 'Hi' })).toEqual({ prompt: 'Say hi', answer: 'Hi' });
  expect(read({ instruction: 'Say hi', output: 'Hi', category: null, source: 'x' })).toEqual({ prompt: 'Say hi', answer: 'Hi' });
  expect(read({ prompt: ' p ', completion: ' c ' })).toEqual({ prompt: ' p ', answer: ' c ' });
});

test('in a chat the last answer of the assistant is learnt', () => {
  const turn = (role: string, content: string) => ({ role, content });
  expect(read({ messages: [turn('user', 'Hi'), turn('assistant', 'Hello')] })).toEqual({ prompt: 'Hi', answer: 'Hello' });
  const long = [
    turn('system', 'Be kind'),
    turn('user', 'Hi'),
    turn('assistant', 'Hello'),
    turn('user', 'Bye'),
    turn('assistant', 'See you'),
  ];
  expect(read({ messages: [...long, turn('user', 'Oh')] })).toEqual({
    prompt: 'system: Be kind\nuser: Hi\nassistant: Hello\nuser: Bye',
    answer: 'See you',
    messages: [...long, turn('user', 'Oh')],
  });
});

test('an error names place and field', () => {
  const cases: [unknown, RegExp][] = [
    [[], /a sample is an object of instruction/],
    [null, /a sample is an object/],
    [{}, /the fields \(none\) are no known shape/],
    [{ frage: 'q', antwort: 'a' }, /the fields frage, antwort are no known shape/],
    [{ prompt: 'p', completion: 4 }, /completion: .*expected string/],
    [{ completion: 'c' }, /prompt: .*expected string/],
    [{ instruction: 'i', context: 1, response: 'r' }, /context: /],
    [{ instruction: 'i', output: 'o', category: '' }, /category: /],
    [{ prompt: ' \n', completion: 'c' }, /the prompt is empty/],
    [{ prompt: 'p', completion: '' }, /the answer is empty/],
    [{ messages: 'no' }, /messages: /],
    [{ messages: [{ role: 'user', content: 'a' }, { role: 'user' }] }, /messages\.1\.content: /],
    [
      {
        messages: [
          { role: 'user', content: 'a' },
          { role: 'user', content: 'b' },
        ],
      },
      /messages: there is no message of the assistant/,
    ],
    [
      {
        messages: [
          { role: 'assistant', content: 'a' },
          { role: 'user', content: 'b' },
        ],
      },
      /the prompt is empty/,
    ],
  ];
  for (const [value, message] of cases) {
    expect(() => read(value)).toThrow(message);
    expect(() => read(value)).toThrow(/^f\.jsonl line 7: /);
  }
});
