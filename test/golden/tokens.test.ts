// Token ids equal those of the reference, and chat templates those of transformers (made by
// scripts/golden/make-tokens-golden.py).
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { Message } from '../../src/trainer/data/conversation.js';
import { encodeChat } from '../../src/trainer/data/encode-chat.js';
import { parseSample } from '../../src/trainer/data/sample.js';
import { loadTokenizer } from '../../src/trainer/tokenizer/tokenizer.js';

const read = (name: string): unknown => JSON.parse(readFileSync(new URL(name, import.meta.url), 'utf8'));

interface Tokens {
  readonly texts: readonly string[];
  readonly cases: readonly { readonly name: string; readonly json: object; readonly plain: number[][]; readonly special: number[][] }[];
}

const tokens = read('tokens.json') as Tokens;

test.each(tokens.cases.map((one) => [one.name, one] as const))('the tokenizer %s', (_, { json, plain, special }) => {
  const tokenizer = loadTokenizer(
    JSON.stringify(json),
    '{"eos_token": "</s>", "sep_token": "[SEP]"}'.replace('</s>', JSON.stringify(json).includes('"</s>"') ? '</s>' : '[SEP]'),
    'x',
  );
  const texts = tokens.texts.map((text) => [text, tokenizer.encode(text), tokenizer.encodeRendered(text)]);
  expect(texts).toEqual(tokens.texts.map((text, index) => [text, plain[index], special[index]]));
});

interface Chats {
  readonly templates: Readonly<Record<string, { readonly eos: string; readonly template: string }>>;
  readonly tokenizers: Readonly<Record<string, object>>;
  readonly chats: Readonly<Record<string, { readonly messages: readonly Message[]; readonly tools?: readonly unknown[] }>>;
  readonly cases: readonly {
    readonly template: string;
    readonly tokenizer: string;
    readonly chat: string;
    readonly text?: string;
    readonly ids?: readonly number[];
    readonly mask?: readonly number[] | null;
    readonly refused?: string;
  }[];
}

const chats = read('chats.json') as Chats;

test.each(chats.cases.map((one) => [one.template, one.tokenizer, one.chat, one] as const))(
  'the template %s, %s, of %s',
  (_, __, ___, golden) => {
    const { eos, template } = chats.templates[golden.template] as { eos: string; template: string };
    const config = JSON.stringify({ bos_token: '<s>', eos_token: eos, chat_template: template });
    const tokenizer = loadTokenizer(JSON.stringify(chats.tokenizers[golden.tokenizer]), config, 'x');
    const sample = parseSample(chats.chats[golden.chat], 'x');
    if (golden.refused !== undefined) {
      expect(() => encodeChat(tokenizer, sample)).toThrow(golden.refused);
      return;
    }
    const rendered = tokenizer.chat?.render(
      sample.messages ?? [
        { role: 'user', content: sample.prompt },
        { role: 'assistant', content: sample.answer },
      ],
      sample.tools,
    );
    expect(rendered?.text).toBe(golden.text);
    const { ids, learnt, lost } = encodeChat(tokenizer, sample);
    expect(ids).toEqual(golden.ids);
    expect(lost).toBe(0);
    // Without a mask, the template renders earlier turns otherwise; the words of every answer are learnt all the same.
    if (golden.mask) expect([...learnt]).toEqual(golden.mask);
    else {
      const words = tokenizer.decode(ids.filter((_, at) => learnt[at] === 1)).replaceAll(/[ ▁]/g, '');
      for (const { role, content } of chats.chats[golden.chat]?.messages ?? [])
        if (role === 'assistant') expect(words).toContain(content?.trim().slice(1).replaceAll(' ', ''));
      expect(words).not.toContain('user');
    }
  },
);
