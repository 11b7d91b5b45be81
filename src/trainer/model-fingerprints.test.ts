// Fingerprints of model folders have the values that docs/spec/trainer-bridge.md says, and that
// Python's hashlib and json give.
import { expect, test } from 'vitest';
import { canonicalJson, fieldValue, modelFingerprints } from './model-fingerprints.js';

test.each([
  [16.0, '16'],
  [1e-5, '0.00001'],
  [1e-7, '1e-7'],
  [true, 'true'],
  [null, 'null'],
  ['none', 'none'],
  [['v_proj', 'q_proj'], '["q_proj","v_proj"]'],
  [[2, 1], '[2,1]'],
  [{ b: 1, a: [1.5] }, '{"a":[1.5],"b":1}'],
  [{}, '{}'],
  // The digests are those of Python: sha256 of json.dumps(…, sort_keys=True, ensure_ascii=False, separators=(",", ":")).
  ['', 'sha256-12ae32cb1ec02d01eda3581b127c1fee3b0dc53572ed6baf239721a03d82e126'],
  [{ 10: 'x', 2: 'yes', 0: 'no', l: 'y'.repeat(60) }, 'sha256-ffaf5cb9f0985118efe8e38e2a3e32de313ae5bfd6de8b6da5c2b590a568bcf7'],
  [
    ['v_proj', 'q_proj', ...Array.from({ length: 9 }, (_, i) => `layer.${i}.k`)],
    'sha256-f90c070e243e43a722163c6880142a39ca5bbc7c6d0831830b5aa1f132e06475',
  ],
])('the value of %j is %s', async (field, value) => {
  expect(await fieldValue(field as never)).toBe(value);
});

test('keys that are numbers stand in the order of their texts', () => {
  expect(canonicalJson({ 10: 0, 9: 0, a: 0 })).toBe('{"10":0,"9":0,"a":0}');
});

const tokenizer = (model: object, added: object[] = []): string => JSON.stringify({ model, added_tokens: added });
const SAME = 'sha256-8f1e311505db8af286ab5a1add2f2e4993238027c5ed92f2de82bebd43dcdda1';

test.each([
  ['a vocabulary by token', tokenizer({ vocab: { a: 1, '<s>': 0, 'é\u2028': 2, '\n"': 3 } })],
  [
    'one in the order of ids, with scores',
    tokenizer({
      vocab: [
        ['<s>', 0],
        ['a', -1],
        ['é\u2028', -2],
        ['\n"', -3],
      ],
    }),
  ],
  [
    'added tokens',
    tokenizer({ vocab: { a: 1, '\n"': 3 } }, [
      { id: 0, content: '<s>' },
      { id: 2, content: 'é\u2028', special: false },
    ]),
  ],
])('the digest of a tokenizer: %s', async (_, text) => {
  expect(await modelFingerprints({ 'tokenizer.json': text })).toEqual({ tokenizer: SAME });
});

test('of an adapter all is told that matters to an average, and nothing else', async () => {
  const adapter = {
    peft_type: 'LORA',
    r: 8,
    lora_alpha: 16,
    lora_dropout: 0.1,
    bias: 'none',
    target_modules: ['v_proj', 'q_proj'],
    rank_pattern: {},
    modules_to_save: null,
    base_model_name_or_path: '/home/me/model',
    revision: 'abc',
    inference_mode: true,
    task_type: 'CAUSAL_LM',
    init_lora_weights: true,
    megatron_core: 'megatron.core',
    loftq_config: {},
    peft_version: '0.18',
  };
  expect(await modelFingerprints({ 'adapter_config.json': JSON.stringify(adapter) })).toEqual({
    'adapter.peft_type': 'LORA',
    'adapter.r': '8',
    'adapter.lora_alpha': '16',
    'adapter.bias': 'none',
    'adapter.target_modules': '["q_proj","v_proj"]',
    'adapter.rank_pattern': '{}',
    'adapter.modules_to_save': 'null',
  });
});

test.each([
  ['at the top', { rope_theta: 500000.0 }],
  ['in rope_parameters', { rope_parameters: { rope_theta: 500000, rope_type: 'default' } }],
])('of a configuration, the fields that decide what the model computes: rope_theta %s', async (_, rope) => {
  const config = { model_type: 'llama', hidden_size: 64, head_dim: null, torch_dtype: 'float16', id2label: { 0: 'no' }, ...rope };
  expect(await modelFingerprints({ 'config.json': JSON.stringify(config) })).toEqual({
    'base.config.model_type': 'llama',
    'base.config.hidden_size': '64',
    'base.config.rope_theta': '500000',
    labels: '{"0":"no"}',
  });
});

test('texts that are no configuration tell nothing', async () => {
  expect(await modelFingerprints({ 'config.json': '[1]', 'adapter_config.json': '{', 'tokenizer.json': undefined })).toEqual({});
});
