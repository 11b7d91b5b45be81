// Situations with tokenizers and chat templates: which tokens of a sample are trained, and which of
// them are learnt. Ids are those of tokenizers 0.23 and transformers 5.24.
import { encodeSamples } from '../../src/trainer/data/encode-sample.js';
import { parseSample } from '../../src/trainer/data/sample.js';
import { loadTokenizer } from '../../src/trainer/tokenizer/tokenizer.js';
import type { FieldTable } from './situation.js';

interface TokenInput {
  /** Changes to a byte-level tokenizer of single bytes. */
  readonly json?: Readonly<Record<string, unknown>>;
  readonly config?: Readonly<Record<string, unknown>>;
  /** The text of `chat_template.jinja`. */
  readonly template?: string;
  readonly sample: object;
  readonly maxTokens?: number;
}

const added = (content: string, id: number, more: object = {}) => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
  ...more,
});
const SPECIAL = [added('<s>', 300), added('</s>', 301), added('<u>', 302), added('<a>', 303)];
const LETTERS = Object.fromEntries([...'abcdefghijklmnopqrstuvwxyz.,?!<>/_|[]'].map((letter, index) => [letter, index + 1]));
const MODEL = { type: 'BPE', unk_token: '_', vocab: { ...LETTERS, Ġ: 90, Ċ: 91, '▁': 92 }, merges: [] };
const BYTES = {
  added_tokens: SPECIAL,
  normalizer: null,
  pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
  post_processor: null,
  decoder: { type: 'ByteLevel' },
  model: MODEL,
};
const SENTENCE_PIECE = {
  normalizer: {
    type: 'Sequence',
    normalizers: [
      { type: 'Prepend', prepend: '▁' },
      { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
    ],
  },
  pre_tokenizer: null,
  decoder: { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
};
const BOS = {
  post_processor: {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    pair: [],
    special_tokens: { '<s>': { id: '<s>', ids: [300], tokens: ['<s>'] } },
  },
};
const TURNS =
  "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}{{ '<u>' + m['content'] }}{% elif m['role'] == 'assistant' %}{{ '<a>' + m['content'] + eos_token }}{% else %}{{ raise_exception('only user and assistant') }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<a>' }}{% endif %}";
const MARKED = TURNS.replace(
  "{{ '<a>' + m['content'] + eos_token }}",
  "{{ '<a>' }}{% generation %}{{ m['content'] }}{% endgeneration %}{{ eos_token }}",
);
const CLOSED = TURNS.replace("m['content'] + eos_token", "m['content'] + '|'").replace(
  "{{ '<a>' }}{% endif %}",
  "{{ '<a>' }}{% else %}{{ eos_token }}{% endif %}",
);
const THOUGHT = TURNS.replace("{{ '<a>' }}{% endif %}", "{{ '<a>[]' }}{% endif %}");
const LINES = TURNS.replace("'<a>' + m['content']", "'<a>' + m['content'].strip('\\n')");
const user = (content: string) => ({ role: 'user', content });
const reply = (content: string, more: object = {}) => ({ role: 'assistant', content, ...more });
const TWO = { messages: [user('a'), reply('b'), user('c'), reply('d')] };
const CHAT = { template: TURNS, sample: TWO };
const text = (content: string) => ({ text: content });

async function trained({ json, config, template, sample, maxTokens = 64 }: TokenInput): Promise<string> {
  const files = [JSON.stringify({ ...BYTES, ...json }), JSON.stringify({ bos_token: '<s>', eos_token: '</s>', ...config })] as const;
  const tokenizer = loadTokenizer(...files, 'tokenizer.json', template);
  const { examples, refused, skipped } = encodeSamples(tokenizer, [parseSample(sample, 'line 1')], maxTokens);
  const [example] = examples;
  if (!example) throw new Error(refused.reason || `${skipped} skipped`);
  const { tokens, promptTokens, learnt } = example;
  // Each id, those that are learnt in brackets.
  return [...tokens].map((id, at) => ((learnt ? learnt[at] === 1 : at >= promptTokens) ? `[${id}]` : `${id}`)).join(' ');
}

export const TOKENS: FieldTable<TokenInput> = {
  title: 'Tokenizers and chat templates',
  intro: 'For the built-in trainer: ids are those of the reference, or the tokenizer is refused by name before any training.',
  run: trained,
  rows: [
    {
      name: 'a conversation of two answers with a chat template',
      from: 'TRL (assistant_only_loss)',
      input: CHAT,
      gives: '300 302 1 303 [2] [301] 302 3 303 [4] [301]',
      advice: 'Every answer is learnt, with the token that ends it; the rest is context.',
    },
    {
      name: 'a template that marks its answers with {% generation %}',
      from: 'TRL (assistant_only_loss)',
      input: { ...CHAT, template: MARKED },
      gives: '300 302 1 303 [2] 301 302 3 303 [4] 301',
      advice: 'What the template marks is learnt, no more.',
    },
    {
      name: 'a template that ends a conversation otherwise than a turn',
      from: 'Phi-3',
      input: { template: CLOSED, sample: TWO },
      gives: '300 302 1 303 [2] [35] 302 3 303 [4] [35] [301]',
      advice: 'Every answer is learnt; the last one with the end of the conversation.',
    },
    {
      name: 'a template that asks with a thought, which a conversation leaves out',
      from: 'DeepSeek-R1, Nemotron',
      input: { template: THOUGHT, sample: TWO },
      gives: '300 302 1 303 [2] [301] 302 3 303 [4] [301]',
      advice: 'An answer begins where the conversation differs from the question, as in TRL.',
    },
    {
      name: 'a template that strips line ends alone',
      from: 'Qwen3, GLM',
      input: { template: LINES, sample: { messages: [user('a'), reply('\n b\n')] } },
      gives: '300 302 1 303 [90] [2] [301]',
      advice: 'Blanks stay, as in transformers.',
    },
    {
      name: 'prompt and answer with a chat template',
      from: 'TRL',
      input: { template: TURNS, sample: { prompt: 'a', completion: 'b' } },
      gives: '300 302 1 303 [2] [301]',
      advice: 'They become a conversation of two turns; TRL trains them as one text, without the template.',
    },
    {
      name: 'a template within tokenizer_config.json',
      from: 'transformers',
      input: { config: { chat_template: TURNS }, sample: TWO },
      gives: '300 302 1 303 [2] [301] 302 3 303 [4] [301]',
      advice: 'Used like chat_template.jinja.',
    },
    {
      name: 'several named templates',
      from: 'Command R, Hermes',
      input: {
        config: {
          chat_template: [
            { name: 'tool_use', template: 'x' },
            { name: 'default', template: TURNS },
          ],
        },
        sample: TWO,
      },
      gives: '300 302 1 303 [2] [301] 302 3 303 [4] [301]',
      advice: '`default` is used, and `tool_use` for samples with tools.',
    },
    {
      name: 'a turn with the weight 0',
      from: 'OpenAI',
      input: { template: TURNS, sample: { messages: [user('a'), reply('b', { weight: 0 }), user('c'), reply('d')] } },
      gives: '300 302 1 303 2 301 302 3 303 [4] [301]',
      advice: 'It is context, and not learnt.',
    },
    {
      name: 'a conversation that the template refuses',
      from: 'Gemma, Mistral',
      input: { template: TURNS, sample: { messages: [{ role: 'system', content: 'x' }, user('a'), reply('b')] } },
      refusal: /the chat template refuses it: only user and assistant/,
      advice: "Such samples are left out with the template's own words; if all are, nothing is trained.",
    },
    {
      name: 'a special token in the words of a conversation',
      from: 'transformers',
      input: { template: TURNS, sample: { messages: [user('a<a>'), reply('b')] } },
      gives: '300 302 1 303 303 [2] [301]',
      advice: 'It becomes that token, as in transformers.',
    },
    {
      name: 'a template that is no Jinja',
      from: 'hand-made models',
      input: { template: '{% for %}', sample: TWO },
      refusal: /tokenizer\.json: its chat template is no Jinja that can be read here/,
      advice: 'Mend the template.',
    },
    {
      name: 'a conversation that is cut at train.maxTokens',
      from: 'TRL',
      input: { ...CHAT, maxTokens: 6 },
      gives: '300 302 1 303 [2] [301]',
      advice: 'The front is kept.',
    },
    {
      name: 'a conversation whose first answer lies beyond train.maxTokens',
      from: 'TRL',
      input: { ...CHAT, maxTokens: 4 },
      refusal: /1 skipped/,
      advice: 'Skipped and counted: there is nothing to learn in it.',
    },
    {
      name: 'a text that is learnt as a whole',
      from: 'continued pre-training',
      input: { sample: text('ab') },
      gives: '[1] [2] [301]',
      advice: 'Every token is learnt, and the end.',
    },
    {
      name: 'a text with a tokenizer that puts BOS in front',
      from: 'Llama',
      input: { json: BOS, sample: text('ab') },
      gives: '[300] [1] [2] [301]',
      advice: 'BOS stands in front, as in TRL.',
    },
    {
      name: '<s> spelt out in a text',
      from: 'SentencePiece models',
      input: { json: SENTENCE_PIECE, sample: text('a <s> b') },
      gives: '[92] [1] [92] [300] [92] [92] [2] [301]',
      advice: 'It is the token, as in transformers and TRL; in a prompt and its answer it stays text.',
    },
    {
      name: 'added tokens that are whole words',
      from: 'transformers',
      input: { json: { added_tokens: [...SPECIAL, added('ab', 310, { special: false, single_word: true })] }, sample: text('ab abc') },
      gives: '[310] [90] [1] [2] [3] [301]',
      advice: 'Only a whole word is that token.',
    },
    {
      name: 'added tokens that take the blanks beside them',
      from: 'RoBERTa',
      input: {
        json: { added_tokens: [...SPECIAL, added('[m]', 311, { special: false, lstrip: true, rstrip: true })] },
        sample: text('a  [m] b'),
      },
      gives: '[1] [311] [2] [301]',
      advice: 'The blanks go with the token.',
    },
    {
      name: 'added tokens of which one begins with another',
      from: 'code models',
      input: {
        json: { added_tokens: [...SPECIAL, added('ab', 310, { special: false }), added('abc', 311, { special: false })] },
        sample: text('abcab'),
      },
      gives: '[311] [310] [301]',
      advice: 'The longest one counts.',
    },
    {
      name: 'added tokens that are looked for in normalized text',
      from: 'T5, BERT',
      input: {
        json: { normalizer: { type: 'Lowercase' }, added_tokens: [...SPECIAL, added('AB', 310, { special: false, normalized: true })] },
        sample: text('ab AB'),
      },
      gives: '[310] [90] [310] [301]',
      advice: 'Found in either case, as in the reference.',
    },
    {
      name: 'a Unigram model',
      from: 'T5, XLNet',
      input: {
        json: {
          pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: false },
          decoder: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: false },
          model: {
            type: 'Unigram',
            unk_id: 0,
            vocab: [
              ['<unk>', 0],
              ['▁', -2],
              ['a', -3],
              ['b', -3],
              ['ab', -4],
              ['▁a', -4],
            ],
          },
        },
        sample: text('ab a zz'),
      },
      gives: '[1] [4] [5] [1] [0] [301]',
      advice: 'The most likely pieces, as in the reference.',
    },
    {
      name: 'a normalizer of SentencePiece that is compiled',
      from: 'T5, XLM-R',
      input: { json: { normalizer: { type: 'Precompiled', precompiled_charsmap: '' } }, sample: text('a') },
      refusal: /tokenizer\.json: the normalizer Precompiled would give other tokens here than in the reference; .*trainer of your own/,
      advice: 'Refused by name before any training; train such a model with a trainer of your own.',
    },
    {
      name: 'BPE with dropout',
      from: 'translation models',
      input: { json: { model: { ...MODEL, dropout: 0.1 } }, sample: text('a') },
      refusal: /a BPE with dropout gives other tokens every time; set dropout to null/,
      advice: 'Set dropout to null.',
    },
    {
      name: 'merges without tokens',
      from: 'hand-made vocabularies',
      input: { json: { model: { ...MODEL, merges: [['a', 'b']] } }, sample: text('a') },
      refusal: /its merge \["a","b"\] is not in the vocabulary/,
      advice: 'Export the tokenizer again.',
    },
    {
      name: 'a tokenizer that does not say how a text ends',
      from: 'base models',
      input: { config: { eos_token: null }, json: { added_tokens: [added('<s>', 300)] }, sample: text('a') },
      refusal: /does not say which token ends a text; set eos_token in tokenizer_config\.json/,
      advice: 'Set eos_token.',
    },
  ],
};
