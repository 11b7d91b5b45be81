// Ids and labels equal those of TRL's SFTTrainer (made by scripts/golden/make-trl-golden.py); where
// they differ, docs/data.md says so, and the difference stands here.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { encodeSamples } from '../../src/trainer/data/encode-sample.js';
import { parseSample } from '../../src/trainer/data/sample.js';
import { loadTokenizer, type Tokenizer } from '../../src/trainer/tokenizer/tokenizer.js';

type Range = readonly [number, number];
type Template = { readonly eos: string; readonly template: string | null };

interface Case {
  readonly kind: string;
  readonly template: string;
  readonly tokenizer: string;
  readonly sample: object;
  readonly options: { readonly max_length?: number; readonly assistant_only_loss?: boolean };
  readonly ids?: readonly number[];
  readonly learnt?: readonly Range[];
  /** TRL left the sample out. */
  readonly dropped?: boolean;
  /** TRL's words. */
  readonly refused?: string;
}

const read = (name: string): unknown => JSON.parse(readFileSync(new URL(name, import.meta.url), 'utf8'));
const chats = read('chats.json') as {
  readonly templates: Readonly<Record<string, Template>>;
  readonly tokenizers: Readonly<Record<string, object>>;
};
const trl = read('trl.json') as {
  readonly templates: Readonly<Record<string, Template>>;
  readonly tokenizers: Readonly<Record<string, object | null>>;
  readonly cases: readonly Case[];
};

function tokenizerOf({ template, tokenizer }: Case): Tokenizer {
  const { eos, template: text } = (trl.templates[template] ?? chats.templates[template]) as Template;
  const json = { ...(chats.tokenizers[tokenizer] ?? chats.tokenizers['byte-level']), post_processor: trl.tokenizers[tokenizer] };
  return loadTokenizer(JSON.stringify(json), JSON.stringify({ bos_token: '<s>', eos_token: eos, chat_template: text }), 'x');
}

function ours(one: Case) {
  const { examples, ...rest } = encodeSamples(tokenizerOf(one), [parseSample(one.sample, 'x')], one.options.max_length ?? 4096);
  const [example] = examples;
  const ids = [...(example?.tokens ?? [])];
  const isLearnt = (at: number) => (example?.learnt ? example.learnt[at] === 1 : at >= (example?.promptTokens ?? 0));
  const ranges = ids.reduce<[number, number][]>((some, _, at) => {
    const last = some.at(-1);
    if (isLearnt(at) && last?.[1] === at) last[1]++;
    else if (isLearnt(at)) some.push([at, at + 1]);
    return some;
  }, []);
  return { ids, learnt: ranges, ...rest };
}

const named = trl.cases.map((one) => [one.kind, one.template, one.tokenizer, one] as const);

/** Ids are the same, and fewer of them are learnt here. */
const FEWER: Readonly<Record<string, readonly Range[]>> = {
  // The marks of the template count for a completion, too.
  'completion: one answer, ChatML with generation marks': [[16, 24]],
  'completion: the last of three answers, ChatML with generation marks': [[63, 67]],
  'completion: an answer after a system prompt, ChatML with generation marks': [[31, 38]],
  'completion: one answer, blocks with generation marks': [[16, 25]],
  'completion: the last of three answers, blocks with generation marks': [[63, 68]],
  'completion: an answer after a system prompt, blocks with generation marks': [[31, 39]],
  // TRL's own template for Qwen 2.5 marks the line end of the header, too.
  'assistant_only_loss: two answers, Qwen 2.5 of TRL': [
    [76, 81],
    [98, 106],
  ],
  'assistant_only_loss: three answers, Qwen 2.5 of TRL': [
    [77, 83],
    [102, 106],
    [123, 128],
  ],
  // The questions of a completion are no answers; TRL learns them unless assistant_only_loss is set.
  'completion: several turns, ChatML': [
    [41, 46],
    [63, 71],
  ],
  // TRL learns the whole conversation unless assistant_only_loss is set.
  'messages by default, ChatML': [
    [41, 46],
    [63, 71],
  ],
  'messages by default, ChatML with generation marks': [
    [16, 20],
    [38, 45],
  ],
};

/** Ids are others: what TRL trains, and what is trained here. */
const OTHERS: readonly RegExp[] = [
  // TRL takes a template of its own, which keeps the thoughts of earlier turns.
  /^assistant_only_loss: .*, Qwen 3 of TRL/,
  // TRL trains them as one text; here they are a conversation, or get headings.
  /^plain prompt and completion/,
  // TRL keeps human and gpt as roles.
  /^conversations of from and value/,
];

const isOther = (name: string) => OTHERS.some((rule) => rule.test(name));
const same = named.filter(([kind, template, , one]) => one.ids && !isOther(`${kind}, ${template}`));

test.each(same)('%s, %s, %s', (kind, template, _, golden) => {
  const { ids, learnt, lost } = ours(golden);
  expect(ids).toEqual(golden.ids);
  expect(learnt).toEqual(FEWER[`${kind}, ${template}`] ?? golden.learnt);
  expect(lost).toBe(0);
});

test('each difference is one', () => {
  const differing = same.filter(([kind, template]) => FEWER[`${kind}, ${template}`]);
  expect(differing.map(([kind, template]) => `${kind}, ${template}`).sort()).toEqual(Object.keys(FEWER).sort());
  for (const [, , , golden] of differing) expect(ours(golden).learnt).not.toEqual(golden.learnt);
  const others = named.filter(([kind, template, , one]) => one.ids && isOther(`${kind}, ${template}`));
  expect(others).toHaveLength(5);
  for (const [, , , golden] of others) expect(ours(golden).ids).not.toEqual(golden.ids);
});

const text = (one: Case, ids: readonly number[]) => tokenizerOf(one).decode(ids);
const find = (kind: string, template: string, tokenizer = 'byte-level'): Case =>
  trl.cases.find((one) => one.kind === kind && one.template === template && one.tokenizer === tokenizer) as Case;

test('special tokens that a text spells are tokens, and its end is not doubled', () => {
  const ending = find('text that ends with EOS', 'none');
  expect(text(ending, ours(ending).ids)).toBe('<s>Hello there</s>');
  const spelled = find('text with a special token', 'none', 'byte-level with BOS and EOS');
  expect(ours(spelled).ids).toEqual(spelled.ids);
});

test('a plain prompt and its completion are one text for TRL', () => {
  const plain = find('plain prompt and completion', 'none');
  expect(text(plain, plain.ids ?? [])).toBe('<s>How are you? Fine.</s>');
  expect(text(plain, ours(plain).ids)).toBe('### Instruction:\nHow are you?\n\n### Response:\n Fine.</s>');
});

test('human and gpt are the user and the assistant', () => {
  const shared = find('conversations of from and value', 'ChatML');
  expect(text(shared, shared.ids ?? [])).toContain('<|im_start|>gpt\nHi!');
  expect(ours(shared)).toEqual(ours(find('messages by default', 'ChatML')));
});

test('a sample whose answer is cut away is left out, as by TRL', () => {
  const cut = trl.cases.filter(({ dropped }) => dropped);
  expect(cut).toHaveLength(1);
  expect(ours(cut[0] as Case)).toMatchObject({ ids: [], skipped: 1 });
});

const NOT_FOR_TRAINING = /^The chat template is not training-compatible|^Cannot use chat template functions/;
const refused = named.filter(([, , , one]) => one.refused !== undefined);

test.each(refused.filter(([, , , { refused }]) => !NOT_FOR_TRAINING.test(refused as string)))(
  'the template refuses %s, %s, %s',
  (_, __, ___, golden) => {
    expect(ours(golden).refused).toEqual({ count: 1, reason: `the chat template refuses it: ${golden.refused}` });
  },
);

const unmarked = refused.filter(([kind, , , one]) => kind.endsWith('three answers') && NOT_FOR_TRAINING.test(one.refused as string));

test.each(unmarked)('a template without marks, which TRL refuses: %s, %s, %s', (_, template, tokenizer, golden) => {
  const completion = find('completion: the last of three answers', template, tokenizer);
  const { ids, learnt, lost } = ours(golden);
  expect(ids).toEqual(completion.ids);
  expect(learnt).toHaveLength(3);
  expect(learnt.at(-1)).toEqual(completion.learnt?.[0]);
  expect(lost).toBe(0);
});

test('a conversation without a template, which TRL refuses, has its last answer learnt', () => {
  const bare = find('messages by default', 'none');
  expect(bare.refused).toMatch(NOT_FOR_TRAINING);
  expect(text(bare, ours(bare).ids)).toMatch(/^### Instruction:\n.*### Response:\nIt sleeps\.<\/s>$/s);
});
