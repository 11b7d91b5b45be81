// Situations with shapes of samples: which fields hold what.
import { expect } from 'vitest';
import { type DataInput, readInput } from './data-input.js';
import type { FieldTable, Situation } from './situation.js';

const PAIR = { prompt: 'p', answer: 'a' };
const USER = { role: 'user', content: 'p' };
const REPLY = { role: 'assistant', content: 'a' };
const pair = (name: string, from: string, sample: object, more: object = {}): Situation<DataInput> => ({
  name,
  from,
  input: { samples: [sample] },
  gives: [{ ...PAIR, ...more }],
  advice: 'Recognized by its fields.',
});
const CALL = { id: '1', type: 'function', function: { name: 'lookup', arguments: '{}' } };
const TOOLS = [{ type: 'function', function: { name: 'lookup', parameters: { type: 'object' } } }];
const CALLS = [USER, { role: 'assistant', content: null, tool_calls: [CALL] }, { role: 'tool', tool_call_id: '1', content: '42' }, REPLY];

export const DATA_SHAPES: FieldTable<DataInput> = {
  title: 'Shapes of samples',
  intro:
    'For the built-in trainer. A shape is recognized by all its fields, or its fields are named with `--fields` or `"fields"`. With a trainer of your own, samples of any shape reach it as they are.',
  run: readInput,
  rows: [
    pair('instruction, context and response', 'Dolly', { instruction: 'p', context: '', response: 'a', category: 'c' }, { category: 'c' }),
    pair('instruction, input and output beside a text', 'Alpaca', { instruction: 'p', input: '', output: 'a', text: 'p a' }),
    pair('prompt and completion', 'OpenAI, TRL', { prompt: 'p', completion: 'a' }),
    pair('prompt and response', 'TRL', { prompt: 'p', response: 'a' }),
    pair('question and answer', 'GSM8K', { question: 'p', answer: 'a' }),
    pair('query and response', 'MetaMathQA', { type: 'x', query: 'p', response: 'a', original_question: 'o' }),
    pair('inputs and targets', 'FLAN', { inputs: 'p', targets: 'a' }),
    pair('input and output', 'web interfaces', { input: 'p', output: 'a' }),
    pair('question and context with several answers', 'SQuAD', {
      id: '1',
      question: 'p',
      context: '',
      answers: { text: ['a', 'b'], answer_start: [0, 1] },
    }),
    pair('a category that is a number', 'web interfaces', { prompt: 'p', completion: 'a', category: 3 }, { category: '3' }),
    pair('messages of one question and its answer', 'OpenAI', { messages: [USER, REPLY] }),
    pair('ShareGPT conversations', 'ShareGPT', {
      id: 'c0',
      conversations: [
        { from: 'human', value: 'p' },
        { from: 'gpt', value: 'a' },
      ],
    }),
    pair('a conversation of texts that take turns', 'LIMA', { conversations: ['p', 'a'], source: 's' }),
    pair('a prompt beside the messages', 'UltraChat', { prompt: 'p', prompt_id: '1', messages: [USER, REPLY] }),
    pair('content in parts', 'OpenAI, Anthropic', {
      messages: [
        { role: 'user', content: [{ type: 'text', text: 'p' }] },
        { role: 'assistant', content: [{ type: 'text', text: 'a' }] },
      ],
    }),
    {
      name: 'content with an image',
      from: 'vision data sets',
      input: {
        samples: [{ messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'x' } }] }, REPLY] }],
      },
      refusal: /messages\.0\.content: a part is no text; only text can be learnt/,
      advice: 'The built-in trainer learns from text.',
    },
    {
      name: 'a system prompt beside question and response',
      from: 'OpenOrca',
      input: { samples: [{ system_prompt: 'Be kind', question: 'p', response: 'a' }] },
      gives: [{ prompt: 'system: Be kind\nuser: p', answer: 'a', messages: [{ role: 'system', content: 'Be kind' }, USER, REPLY] }],
      advice: 'Becomes the turn of the system.',
    },
    {
      name: 'tool calls',
      from: 'OpenAI, TRL',
      input: { samples: [{ tools: TOOLS, messages: CALLS }] },
      gives: [{ prompt: expect.stringContaining('tool: 42'), answer: 'a', messages: CALLS, tools: TOOLS }],
      advice: 'A chat template gets the tools and the calls; every turn of the assistant is learnt.',
    },
    {
      name: 'the answer that calls a tool, and no more',
      from: 'Glaive function calling',
      input: { samples: [{ messages: CALLS.slice(0, 2) }] },
      gives: [{ prompt: 'p', answer: JSON.stringify([CALL]), messages: CALLS.slice(0, 2) }],
      advice: 'The call is the answer.',
    },
    {
      name: 'a turn of the assistant with the weight 0',
      from: 'OpenAI',
      input: { samples: [{ messages: [USER, { ...REPLY, weight: 0 }, USER, REPLY] }] },
      gives: [{ prompt: 'user: p\nassistant: a\nuser: p', answer: 'a', messages: [USER, { ...REPLY, weight: 0 }, USER, REPLY] }],
      advice: 'It is read, and not learnt.',
    },
    {
      name: 'prompt and completion as lists of turns',
      from: 'TRL',
      input: { samples: [{ prompt: [USER], completion: [REPLY] }] },
      gives: [PAIR],
      advice: 'Recognized by its fields; the completion is learnt.',
    },
    {
      name: 'a text alone',
      from: 'continued pre-training',
      input: { samples: [{ text: 'Once upon a time', meta: 1 }] },
      gives: [{ prompt: '', answer: 'Once upon a time' }],
      advice: 'Every token of it is learnt.',
    },
    {
      name: 'fields in another language',
      from: 'own data',
      input: { samples: [{ frage: 'p', antwort: 'a', art: 7 }], fields: 'prompt=frage,answer=antwort,category=art' },
      gives: [{ ...PAIR, category: '7' }],
      advice: 'Name them: --fields prompt=frage,answer=antwort, or "fields" of the job or the site.',
    },
    {
      name: 'fields within other fields',
      from: 'annotation tools',
      input: { samples: [{ data: { q: 'p' }, answers: [{ value: 'a' }] }], fields: 'prompt=data.q,answer=answers.0.value' },
      gives: [PAIR],
      advice: 'A dot goes inside.',
    },
    {
      name: 'turns with names of their own',
      from: 'own data',
      input: {
        samples: [
          {
            chat: [
              { who: 'human', says: 'p' },
              { who: 'bot', says: 'a' },
            ],
          },
        ],
        fields: 'messages=chat,role=who,content=says',
      },
      gives: [PAIR],
      advice: 'Name the list, and role and content within it.',
    },
    {
      name: 'a field that was named and is not there',
      from: 'own data',
      input: { samples: [{ question: 'p', answer: 'a' }], fields: 'prompt=frage,answer=answer' },
      refusal: /frage: expected string/,
      advice: 'The error names the field.',
    },
    {
      name: 'two fields that could each be the answer',
      from: 'merged data sets',
      input: { samples: [{ question: 'p', answer: 'a', response: 'b' }] },
      refusal: /response and answer could each be the answer; say which: "fields"/,
      advice: 'Say which; none is chosen in silence.',
    },
    {
      name: 'chosen and rejected',
      from: 'HH-RLHF, UltraFeedback',
      input: { samples: [{ prompt: 'p', chosen: 'a', rejected: 'b' }] },
      refusal: /chosen and rejected are a preference set .*"answer": "chosen"/,
      advice: 'Name the chosen answer to learn it; preferences themselves need a trainer of your own.',
    },
    {
      name: 'the chosen answers of a preference set, by name',
      from: 'HH-RLHF',
      input: { samples: [{ prompt: 'p', chosen: 'a', rejected: 'b' }], fields: 'prompt=prompt,answer=chosen' },
      gives: [PAIR],
      advice: 'The chosen answers are learnt.',
    },
    {
      name: 'completions with a label that is true or false',
      from: 'KTO',
      input: { samples: [{ prompt: 'p', completion: 'a', label: false }] },
      refusal: /unpaired preference set \(for KTO\)/,
      advice: 'Keep the completions whose label is true, without the label.',
    },
    {
      name: 'the number of a choice as the answer',
      from: 'MMLU',
      input: { samples: [{ question: 'p', choices: ['a', 'b'], answer: 1 }] },
      refusal: /multiple choice; write the text of the answer/,
      advice: 'Write the text of the answer.',
    },
    {
      name: 'some samples that cannot be used',
      from: 'own data',
      input: { files: { 'd.jsonl': '{"prompt":"p","completion":"a"}\n{"prompt":"p","completion":""}\n{"prompt":"p"\n' } },
      gives: [PAIR],
      warning: /2 of 3 samples are left out: .*line 2: the answer is empty; .*line 3: not JSON/,
      advice: 'They are left out, counted, and the first reasons told.',
    },
    {
      name: 'the same with --strict',
      from: 'own data',
      input: { files: { 'd.jsonl': '{"prompt":"p","completion":"a"}\n{"prompt":"p","completion":""}\n' }, strict: true },
      refusal: /d\.jsonl line 2: the answer is empty/,
      advice: 'The first one is an error.',
    },
    {
      name: 'NaN in JSON',
      from: "Python's json",
      input: { files: { 'd.jsonl': '{"prompt":"p","completion":"a","score":NaN}\n{"prompt":"p","completion":"a"}\n' } },
      gives: [PAIR],
      warning: /1 of 2 samples are left out: .*line 1: not JSON/,
      advice: 'NaN is no JSON: such lines are left out and counted.',
    },
  ],
};
