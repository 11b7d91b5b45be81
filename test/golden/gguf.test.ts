// GGUF files of the gguf package, compared with the values that it decodes and the weights they were made of.
import { mkdtempSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { findModel, openPlace } from '../../src/node/model/find-model.js';
import { ggufNames, ggufTexts, openGgufDecoded } from '../../src/node/model/gguf-start.js';
import { openStartModel } from '../../src/node/model/start-model.js';
import { nodeFolder } from '../../src/node/storage/node-folder.js';
import { openGguf } from '../../src/tensor/gguf/gguf-file.js';
import type { StateDict } from '../../src/tensor/state-dict.js';
import { widenInto } from '../../src/tensor/widen.js';
import { ggufTokenizer } from '../../src/trainer/gguf/gguf-tokenizer.js';
import { loadTokenizer } from '../../src/trainer/tokenizer/tokenizer.js';

const golden = fileURLToPath(new URL('gguf/', import.meta.url));
const work = mkdtempSync(join(tmpdir(), 'fedstream-gguf-'));
afterAll(() => rmSync(work, { recursive: true }));

const json = async (name: string) => JSON.parse(await readFile(join(golden, name), 'utf8')) as Record<string, number[]>;

async function valuesOf(model: StateDict): Promise<Map<string, number[]>> {
  const values = new Map<string, number[]>();
  const room = new Float32Array(model.manifest.chunkElements);
  for await (const { tensor, bytes } of model.chunks())
    if (tensor.dtype !== 'I32') values.set(tensor.name, [...(values.get(tensor.name) ?? []), ...widenInto(tensor.dtype, bytes, room)]);
  await model.close?.();
  return values;
}

test.each(['f32', 'f16', 'bf16', 'q4_0', 'q4_1', 'q5_0', 'q5_1', 'q8_0'])('%s decodes to what the gguf package decodes', async (name) => {
  const values = await valuesOf(await openGgufDecoded(await findModel(join(golden, 'types.gguf')), 'file'));
  const wanted = (await json('types.json'))[name];
  expect(wanted).toHaveLength(128);
  expect(values.get(name)).toEqual(wanted);
});

test('shapes are row-major, types are named, and fields are read', async () => {
  const place = await findModel(join(golden, 'types.gguf'));
  const model = await openPlace(place, {});
  const told = Object.fromEntries(model.manifest.tensors.map(({ name, dtype, shape, encoding }) => [name, [dtype, shape, encoding.codec]]));
  await model.close?.();
  expect(told).toMatchObject({
    cube: ['F32', [2, 3, 4], 'raw'],
    ids: ['I32', [4], 'raw'],
    q4_0: ['F32', [2, 64], 'Q4_0'],
    bf16: ['BF16', [2, 64], 'raw'],
  });
  const file = await openGguf(nodeFolder(golden), 'types.gguf');
  expect(await file.list('list.of.texts')).toEqual(['a', 'bc', '日本']);
  expect(await file.list('list.of.numbers')).toEqual([1, 2, 3]);
  expect(file.fields.get('a.text')).toBe('x'.repeat(100));
  await file.close();
});

const NAMES: Readonly<Record<string, string>> = {
  'token_embd.weight': 'model.embed_tokens.weight',
  'output_norm.weight': 'model.norm.weight',
  'output.weight': 'lm_head.weight',
  'blk.0.attn_norm.weight': 'model.layers.0.input_layernorm.weight',
  'blk.0.attn_q.weight': 'model.layers.0.self_attn.q_proj.weight',
  'blk.0.attn_k.weight': 'model.layers.0.self_attn.k_proj.weight',
  'blk.0.attn_v.weight': 'model.layers.0.self_attn.v_proj.weight',
  'blk.0.attn_output.weight': 'model.layers.0.self_attn.o_proj.weight',
  'blk.0.ffn_norm.weight': 'model.layers.0.post_attention_layernorm.weight',
  'blk.0.ffn_gate.weight': 'model.layers.0.mlp.gate_proj.weight',
  'blk.0.ffn_up.weight': 'model.layers.0.mlp.up_proj.weight',
  'blk.0.ffn_down.weight': 'model.layers.0.mlp.down_proj.weight',
  'blk.0.attn_q.bias': 'model.layers.0.self_attn.q_proj.bias',
  'blk.0.attn_k.bias': 'model.layers.0.self_attn.k_proj.bias',
  'blk.0.attn_v.bias': 'model.layers.0.self_attn.v_proj.bias',
  'blk.0.attn_q_norm.weight': 'model.layers.0.self_attn.q_norm.weight',
  'blk.0.attn_k_norm.weight': 'model.layers.0.self_attn.k_norm.weight',
};

test.each(['llama', 'qwen2', 'qwen3'])('%s is begun from with the rows and names of transformers', async (name) => {
  const place = await findModel(join(golden, `${name}.gguf`));
  const model = await openStartModel(place);
  const columns = new Map(model.manifest.tensors.map((tensor) => [tensor.name, tensor.shape[1] ?? 1]));
  const values = await valuesOf(model);
  const wanted = Object.entries(await json(`${name}.json`));
  expect([...values.keys()].sort()).toEqual(wanted.map(([tensor]) => NAMES[tensor]).sort());
  for (const [tensor, first] of wanted) {
    const own = NAMES[tensor] as string;
    const column = (values.get(own) as number[]).filter((_, i) => i % (columns.get(own) as number) === 0);
    expect([own, column]).toEqual([own, first]);
  }
});

test('config.json has what the fields and the tensors say', async () => {
  const config = async (name: string) =>
    JSON.parse((await ggufTexts(await findModel(join(golden, `${name}.gguf`)))).texts['config.json'] as string);
  expect(await config('llama')).toMatchObject({
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_size: 64,
    num_hidden_layers: 1,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 16,
    intermediate_size: 96,
    vocab_size: 300,
    max_position_embeddings: 256,
    tie_word_embeddings: false,
    rope_theta: 500_000,
    rope_scaling: null,
    rms_norm_eps: 1e-6,
    attention_bias: false,
    bos_token_id: 297,
    eos_token_id: 298,
    pad_token_id: 299,
  });
  expect(await config('qwen2')).toMatchObject({ model_type: 'qwen2', tie_word_embeddings: true, rope_scaling: null });
  expect(await config('qwen3')).toMatchObject({ model_type: 'qwen3', attention_bias: false });
});

test('the tokenizer cuts and joins as the fields say', async () => {
  const { texts } = await ggufTexts(await findModel(join(golden, 'llama.gguf')));
  const tokenizer = loadTokenizer(texts['tokenizer.json'] as string, texts['tokenizer_config.json'], 'the file');
  expect(tokenizer.vocabularySize).toBe(300);
  expect([tokenizer.endToken, tokenizer.padToken]).toEqual([298, 299]);
  // The list begins with the bytes 0 to 255; "hello" is 259, " world" 264.
  expect(tokenizer.encode('hello world')).toEqual([259, 264]);
  expect(tokenizer.encode('the')).toEqual([116, 256]);
  expect(tokenizer.encode('é')).toEqual([0xc3, 0xa9]);
  expect(tokenizer.decode([259, 264, 298])).toBe('hello world<|end_of_text|>');
  expect(JSON.parse(texts['tokenizer_config.json'] as string)).toMatchObject({
    bos_token: '<|begin_of_text|>',
    add_bos_token: true,
    model_max_length: 256,
    chat_template: "{{ messages[0]['content'] }}",
  });
});

test('a tokenizer of SentencePiece gives the tokens that the library gives', async () => {
  const file = await openGguf(nodeFolder(golden), 'sentencepiece.gguf');
  const made = await ggufTokenizer(file);
  await file.close();
  if ('missing' in made) throw new Error(made.missing);
  const tokenizer = loadTokenizer(made.json, made.configJson, 'the file');
  const texts = JSON.parse(await readFile(join(golden, 'sentencepiece.json'), 'utf8')) as [string, number[]][];
  expect(texts.map(([text]) => [text, tokenizer.encode(text)])).toEqual(texts);
  expect(texts.length).toBeGreaterThan(20);
});

test('a folder gets the names of transformers where there is such a model, and else those of the file', async () => {
  const notes: string[] = [];
  const namesOf = async (name: string, toFolder: boolean) =>
    ggufNames(await findModel(join(golden, name)), toFolder, (text) => notes.push(text));
  expect(await namesOf('llama.gguf', true)).toBe('huggingface');
  expect(await namesOf('llama.gguf', false)).toBe('file');
  expect(notes).toEqual([]);
  expect(await namesOf('types.gguf', true)).toBe('file');
  expect(notes.join()).toMatch(/keep the names of the file: .*llama\.attention\.head_count: it is missing/);
});
