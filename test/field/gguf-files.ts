// GGUF files of llama.cpp as the beginning of a run: what they are made into, and what is refused.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { findModel, openPlace } from '../../src/node/model/find-model.js';
import { openStartModel, startTexts } from '../../src/node/model/start-model.js';
import { f32, type GgufBytes, ggufBytes, type TensorBytes, type Value } from './gguf-bytes.js';
import type { FieldTable } from './situation.js';

interface GgufInput extends GgufBytes {
  /** The name of the file; `m.gguf` by default. */
  readonly file?: string;
  /** Other files in the folder. */
  readonly beside?: Readonly<Record<string, string>>;
  /** The path that a command is given; the file by default. */
  readonly path?: string;
  /** What of the model is looked at: dtypes and codecs, names as a run begins with them, or texts. */
  readonly show: 'inspect' | 'start' | 'config' | 'tokenizer';
}

const FIELDS: Readonly<Record<string, Value>> = {
  'general.architecture': 'llama',
  'llama.context_length': 64,
  'llama.embedding_length': 16,
  'llama.block_count': 1,
  'llama.feed_forward_length': 4,
  'llama.attention.head_count': 1,
  'llama.attention.layer_norm_rms_epsilon': { float: 1e-5 },
  'llama.rope.freq_base': { float: 500_000 },
};
const EMBEDDING = f32('token_embd.weight', [16, 2], new Float32Array(32));
const QUERY = f32('blk.0.attn_q.weight', [1, 4], [0, 1, 2, 3]);
const BYTES = (name: string, type: number, sides: readonly number[], count: number): TensorBytes => ({
  name,
  type,
  sides,
  bytes: new Uint8Array(count),
});
const BPE: Readonly<Record<string, Value>> = {
  'tokenizer.ggml.model': 'gpt2',
  'tokenizer.ggml.pre': 'qwen2',
  'tokenizer.ggml.tokens': ['a', 'b', 'ab', '<|end|>'],
  'tokenizer.ggml.token_type': [1, 1, 1, 3],
  'tokenizer.ggml.merges': ['a b'],
  'tokenizer.ggml.eos_token_id': 3,
};
/** Of a head of 16 and a base of 500,000, as convert_hf_to_gguf.py computes them for Llama 3.2. */
const LLAMA32 = [1, 1, 1, 1, 3.2922627925872803, 32, 32, 32];

async function shown({ file = 'm.gguf', path = file, show }: GgufInput, folder: string, warn: (text: string) => void): Promise<unknown> {
  const place = await findModel(join(folder, path), { onNote: warn });
  if (show === 'config') return JSON.parse((await startTexts(place, []))['config.json'] as string);
  if (show === 'tokenizer') {
    const texts = await startTexts(place, ['tokenizer.json']);
    return JSON.parse(texts['tokenizer.json'] as string);
  }
  const model = show === 'start' ? await openStartModel(place) : await openPlace(place, {});
  try {
    if (show === 'inspect') return model.manifest.tensors.map(({ name, dtype, shape, encoding }) => [name, dtype, shape, encoding.codec]);
    const values = new Map<string, number[]>();
    for await (const { tensor, bytes } of model.chunks()) values.set(tensor.name, [...new Float32Array(bytes.slice().buffer)]);
    return Object.fromEntries(values);
  } finally {
    await model.close?.();
  }
}

export const GGUF_FILES: FieldTable<GgufInput> = {
  title: 'GGUF files of llama.cpp',
  intro:
    'They are inspected, compared, decoded with `dequantize`, and begun from, as F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1 and Q8_0 (docs/spec/gguf.md). A run trains what they decode to.',
  async run(input, { folder, warn }) {
    writeFileSync(join(folder, input.file ?? 'm.gguf'), ggufBytes(input));
    for (const [name, content] of Object.entries(input.beside ?? {})) writeFileSync(join(folder, name), content);
    return shown(input, folder, warn);
  },
  rows: [
    {
      name: 'any GGUF file, looked at',
      from: 'llama.cpp',
      input: { fields: {}, tensors: [BYTES('w', 12, [256, 2], 288)], show: 'inspect' },
      gives: [['w', 'F32', [2, 256], 'Q4_K']],
      advice: '`inspect` shows every type and architecture.',
    },
    {
      name: 'a GGUF file under another name',
      from: 'shared folders',
      input: { file: 'model.safetensors', tensors: [f32('w', [2], [1, 2])], show: 'inspect' },
      gives: [['w', 'F32', [2], 'raw']],
      advice: 'It is known by its first bytes.',
    },
    {
      name: 'a folder with one GGUF file',
      from: 'Hugging Face hub',
      input: { path: '.', tensors: [f32('w', [2], [1, 2])], show: 'inspect' },
      gives: [['w', 'F32', [2], 'raw']],
      advice: 'Name the folder or the file.',
    },
    {
      name: 'a folder with several GGUF files',
      from: 'Hugging Face hub',
      input: { path: '.', beside: { 'n.gguf': 'x' }, tensors: [f32('w', [2], [1, 2])], show: 'inspect' },
      refusal: /has m\.gguf, n\.gguf; name the one to be read/,
      advice: 'Name the file.',
    },
    {
      name: 'a Llama model, whose queries llama.cpp has put into another order',
      from: 'llama.cpp',
      input: { fields: FIELDS, tensors: [EMBEDDING, QUERY], show: 'start' },
      gives: { 'model.embed_tokens.weight': Array.from({ length: 32 }, () => 0), 'model.layers.0.self_attn.q_proj.weight': [0, 2, 1, 3] },
      advice: 'Names and rows become those of transformers.',
    },
    {
      name: 'a Qwen2 model',
      from: 'llama.cpp',
      input: {
        fields: Object.fromEntries(
          Object.entries({ ...FIELDS, 'general.architecture': 'qwen2' }).map(([key, value]) => [key.replace(/^llama\./, 'qwen2.'), value]),
        ),
        tensors: [EMBEDDING, QUERY],
        show: 'start',
      },
      gives: { 'model.embed_tokens.weight': Array.from({ length: 32 }, () => 0), 'model.layers.0.self_attn.q_proj.weight': [0, 1, 2, 3] },
      advice: 'Names become those of transformers; its rows are in the same order.',
    },
    {
      name: 'a head that is the embedding',
      from: 'llama.cpp',
      input: { fields: { ...FIELDS, ...BPE }, tensors: [EMBEDDING], show: 'config' },
      gives: {
        architectures: ['LlamaForCausalLM'],
        model_type: 'llama',
        hidden_size: 16,
        num_hidden_layers: 1,
        num_attention_heads: 1,
        num_key_value_heads: 1,
        head_dim: 16,
        intermediate_size: 4,
        vocab_size: 2,
        max_position_embeddings: 64,
        tie_word_embeddings: true,
        rope_theta: 500_000,
        rope_scaling: null,
        rms_norm_eps: 1e-5,
        hidden_act: 'silu',
        attention_bias: false,
        mlp_bias: false,
        bos_token_id: null,
        eos_token_id: 3,
        pad_token_id: null,
        torch_dtype: 'float32',
      },
      advice: 'config.json is made of the fields; without a head of its own the model is tied.',
    },
    {
      name: 'a Llama 3.2 model with its factors of rotation',
      from: 'llama.cpp',
      input: { fields: { ...FIELDS, ...BPE }, tensors: [EMBEDDING, f32('rope_freqs.weight', [8], LLAMA32)], show: 'config' },
      gives: expect.objectContaining({
        rope_scaling: { rope_type: 'llama3', factor: 32, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 },
      }),
      advice: 'The scaling is found from the factors.',
    },
    {
      name: 'factors of rotation of nobody knows which model',
      from: 'llama.cpp',
      input: {
        fields: { ...FIELDS, ...BPE },
        tensors: [
          EMBEDDING,
          f32(
            'rope_freqs.weight',
            [8],
            LLAMA32.map((factor) => factor + 1),
          ),
        ],
        show: 'config',
      },
      refusal: /the factors in rope_freqs\.weight are not those of Llama 3; take the model's safetensors instead/,
      advice: "Take the model's safetensors.",
    },
    {
      name: 'a tokenizer of byte-level BPE',
      from: 'llama.cpp',
      input: { fields: { ...FIELDS, ...BPE }, tensors: [EMBEDDING], show: 'tokenizer' },
      gives: expect.objectContaining({
        normalizer: { type: 'NFC' },
        added_tokens: [{ id: 3, content: '<|end|>', single_word: false, lstrip: false, rstrip: false, normalized: false, special: true }],
        model: expect.objectContaining({ type: 'BPE', vocab: { a: 0, b: 1, ab: 2 }, merges: ['a b'], ignore_merges: false }),
      }),
      advice: 'It is made of the fields, where its rules are known (gpt-2, llama-bpe, qwen2, smollm).',
    },
    {
      name: 'a tokenizer of another kind (WordPiece, Unigram, RWKV)',
      from: 'llama.cpp',
      input: { fields: { ...FIELDS, 'tokenizer.ggml.model': 't5' }, tensors: [EMBEDDING], show: 'tokenizer' },
      refusal:
        /a tokenizer of the model "t5" is not made here; put tokenizer\.json and tokenizer_config\.json of the same model beside the GGUF file/,
      advice: 'Put the tokenizer of the same model beside the file.',
    },
    {
      name: 'a tokenizer beside the file',
      from: 'Hugging Face hub',
      input: {
        fields: { ...FIELDS, 'tokenizer.ggml.model': 'llama' },
        beside: { 'tokenizer.json': '{"own":1}' },
        tensors: [EMBEDDING],
        show: 'tokenizer',
      },
      gives: { own: 1 },
      advice: 'It is taken.',
    },
    {
      name: 'a file of K-quants (Q4_K_M) as the start of a run',
      from: 'llama.cpp',
      input: { fields: FIELDS, tensors: [{ ...EMBEDDING, type: 12, sides: [256, 2], bytes: new Uint8Array(288) }], show: 'start' },
      refusal:
        /tensor model\.embed_tokens\.weight is Q4_K, which is not decoded here .*; take the model's Q8_0 or F16 file, or make one with `llama-quantize/,
      advice: "Take the model's Q8_0 or F16 file.",
    },
    {
      name: 'an architecture that is not known here',
      from: 'llama.cpp',
      input: { fields: { ...FIELDS, 'general.architecture': 'gemma3' }, tensors: [EMBEDDING], show: 'start' },
      refusal: /is of the architecture "gemma3"; models are begun from llama, qwen2, qwen3 .*take the model's safetensors instead/,
      advice: "Take the model's safetensors.",
    },
    {
      name: 'a mixture of experts',
      from: 'llama.cpp',
      input: { fields: { ...FIELDS, 'llama.expert_count': 8 }, tensors: [EMBEDDING], show: 'start' },
      refusal: /the field llama\.expert_count: mixture-of-experts models are not begun from GGUF/,
      advice: "Take the model's safetensors.",
    },
    {
      name: 'a projector or a LoRA adapter in GGUF',
      from: 'llama.cpp',
      input: { fields: FIELDS, tensors: [EMBEDDING, f32('blk.0.attn_q.weight.lora_a', [2], [1, 2])], show: 'start' },
      refusal: /has the tensor blk\.0\.attn_q\.weight\.lora_a, which LlamaForCausalLM does not have/,
      advice: 'Take the model itself.',
    },
    {
      name: 'a field that is missing',
      from: 'old converters',
      input: {
        fields: Object.fromEntries(Object.entries(FIELDS).filter(([key]) => key !== 'llama.block_count')),
        tensors: [EMBEDDING],
        show: 'start',
      },
      refusal: /the field llama\.block_count: it is missing/,
      advice: 'Convert the model again with a newer llama.cpp.',
    },
    {
      name: 'one part of a model that was cut into several',
      from: 'llama.cpp',
      input: { fields: { ...FIELDS, 'split.count': 3 }, tensors: [EMBEDDING], show: 'start' },
      refusal: /is one of 3 parts of a model; join them with `llama-gguf-split --merge/,
      advice: 'Join the parts.',
    },
    {
      name: 'a folder with all parts of a model',
      from: 'Hugging Face hub',
      input: { file: 'm-00001-of-00002.gguf', beside: { 'm-00002-of-00002.gguf': 'x' }, path: '.', tensors: [EMBEDDING], show: 'start' },
      refusal: /has a model in 2 parts; join them with `llama-gguf-split --merge m-00001-of-00002\.gguf OUT\.gguf`/,
      advice: 'Join the parts.',
    },
    {
      name: 'a Git LFS pointer named .gguf',
      from: 'Git',
      input: {
        beside: { 'lfs.gguf': 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n' },
        path: 'lfs.gguf',
        show: 'start',
      },
      refusal: /lfs\.gguf is a Git LFS pointer to 12 bytes that were not fetched/,
      advice: 'Fetch it with `git lfs pull`.',
    },
    {
      name: 'a tokenizer.json that is a Git LFS pointer',
      from: 'Git',
      input: {
        fields: { ...FIELDS, ...BPE },
        beside: { 'tokenizer.json': 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n' },
        tensors: [EMBEDDING],
        show: 'tokenizer',
      },
      refusal: /tokenizer\.json is a Git LFS pointer to 12 bytes that were not fetched: run `git lfs install/,
      advice: 'Fetch it with `git lfs pull`; this holds for every text of a model folder.',
    },
    {
      name: 'a file of version 1',
      from: 'old llama.cpp',
      input: { version: 1, show: 'inspect' },
      refusal: /its version is 1; versions 2 and 3 are read/,
      advice: 'Convert the model again with a newer llama.cpp.',
    },
    {
      name: 'a GGUF file that was cut off',
      from: 'bad networks',
      input: { tensors: [{ ...EMBEDDING, sides: [16, 2000] }], show: 'inspect' },
      refusal: /tensor token_embd\.weight ends at byte \d+ of \d+: the file is truncated; fetch it again/,
      advice: 'Fetch it again.',
    },
  ],
};
