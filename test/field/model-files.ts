// Model files and folders as people have them: other formats under the name, variants, shards, the cache of the hub.
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { findModel } from '../../src/node/model/find-model.js';
import { openStartModel } from '../../src/node/model/start-model.js';
import type { FieldTable } from './situation.js';

/** Text as bytes of Latin-1, a link, or safetensors of some float32 vectors. */
type Brought =
  | string
  | { readonly link: string }
  | { readonly tensors: Readonly<Record<string, readonly number[]>>; readonly cut?: number };

interface ModelInput {
  readonly files: Readonly<Record<string, Brought>>;
  /** The path below the row's folder that a command is given; the folder itself by default. */
  readonly path?: string;
  readonly variant?: string;
}

const POINTER = `version https://git-lfs.github.com/spec/v1\noid sha256:${'a'.repeat(64)}\nsize 2471645608\n`;
const ZIP = (name: string) => `PK\x03\x04${'\0'.repeat(22)}${String.fromCharCode(name.length)}\0\0\0${name}`;
const MODEL = { tensors: { w: [1, 2] } };
const index = (map: object) => JSON.stringify({ metadata: { total_size: 8 }, weight_map: map });
const CACHE = 'models--org--name';

function safetensors(tensors: Readonly<Record<string, readonly number[]>>): Buffer {
  let at = 0;
  const header: Record<string, unknown> = Object.create(null);
  for (const [name, values] of Object.entries(tensors)) {
    header[name] = { dtype: 'F32', shape: [values.length], data_offsets: [at, at + 4 * values.length] };
    at += 4 * values.length;
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, Buffer.from(Float32Array.from(Object.values(tensors).flat()).buffer)]);
}

function bring(folder: string, files: ModelInput['files']): void {
  for (const [name, file] of Object.entries(files)) {
    const path = join(folder, name);
    mkdirSync(dirname(path), { recursive: true });
    if (typeof file === 'string') writeFileSync(path, file, 'latin1');
    else if ('link' in file) symlinkSync(file.link, path);
    else writeFileSync(path, safetensors(file.tensors).subarray(0, file.cut));
  }
}

/** The values of each tensor of a model. */
async function valuesOf(path: string, variant: string | undefined, warn: (text: string) => void): Promise<Record<string, number[]>> {
  const model = await openStartModel(await findModel(path, { variant, onNote: warn, environment: { HF_HUB_CACHE: '/nowhere' } }));
  const values = new Map<string, number[]>();
  for await (const { tensor, bytes } of model.chunks()) values.set(tensor.name, [...new Float32Array(bytes.slice().buffer)]);
  await model.close?.();
  return Object.fromEntries(values);
}

export const MODEL_FILES: FieldTable<ModelInput> = {
  title: 'Model files and folders',
  intro:
    'Every command that takes a model takes a safetensors file, a folder, a GGUF file, a place in the Hugging Face cache, or `hf://org/name`.',
  async run({ files, path = '.', variant }, { folder, warn }) {
    bring(folder, files);
    return valuesOf(join(folder, path), variant, warn);
  },
  rows: [
    {
      name: 'a Git LFS pointer named .safetensors',
      from: 'Git',
      input: { files: { 'model.safetensors': POINTER } },
      refusal: /model\.safetensors is a Git LFS pointer to 2471645608 bytes .* `git lfs install && git -C .* lfs pull`/,
      advice: 'Fetch the weights with `git lfs pull`.',
    },
    {
      name: 'a web page named .safetensors',
      from: 'Hugging Face hub',
      input: { files: { 'model.safetensors': '<!DOCTYPE html><html><head><title>401 Client Error</title>' } },
      refusal: /is a web page \(HTML\), titled "401 Client Error", no safetensors file: .*huggingface-cli login/,
      advice: 'Agree to the licence of the model, log in, and fetch it again.',
    },
    {
      name: 'an error message in JSON named .safetensors',
      from: 'Hugging Face hub',
      input: { files: { 'model.safetensors': '{"error":"Access to model x is restricted"}' } },
      refusal: /an error message in the place of a file \("Access to model x is restricted"\)/,
      advice: 'Agree to the licence of the model, log in, and fetch it again.',
    },
    {
      name: '"Entry not found" named .safetensors',
      from: 'Hugging Face hub',
      input: { files: { 'model.safetensors': 'Entry not found' } },
      refusal: /text that begins "Entry not found", no safetensors file: a server answered/,
      advice: 'Check the name of the file and fetch it again.',
    },
    {
      name: 'an empty model file',
      from: 'shared folders',
      input: { files: { 'model.safetensors': '' } },
      refusal: /is an empty file, no safetensors file: .* fetch it again/,
      advice: 'Copy or fetch it again.',
    },
    {
      name: 'a model file that was cut off',
      from: 'safetensors',
      input: { files: { 'model.safetensors': { ...MODEL, cut: -3 } } },
      refusal: /the file is truncated; .*fetch it again/,
      advice: 'Fetch it again.',
    },
    {
      name: 'a model file that is all zeros',
      from: 'download managers',
      input: { files: { 'model.safetensors': '\0'.repeat(64) } },
      refusal: /begins with zeros alone, as a download leaves it that never ended/,
      advice: 'Fetch it again.',
    },
    {
      name: 'a model file inside gzip',
      from: 'shared folders',
      input: { files: { 'model.safetensors': '\x1f\x8b\x08\0\0\0\0\0' } },
      refusal: /is a gzip file, no safetensors file: unpack it with `gzip -dc /,
      advice: 'Unpack it first.',
    },
    {
      name: 'a model file inside Zstandard',
      from: 'shared folders',
      input: { files: { 'model.safetensors.zst': '\x28\xb5\x2f\xfd\0\0\0\0' }, path: 'model.safetensors.zst' },
      refusal: /is a Zstandard file, .* `zstd -dc .*model\.safetensors\.zst > .*model.*\.safetensors`/,
      advice: 'Unpack it first.',
    },
    {
      name: 'a ZIP archive with a model folder',
      from: 'shared folders',
      input: { files: { 'model.zip': ZIP('model/config.json') }, path: 'model.zip' },
      refusal: /is a ZIP archive, .* `unzip .*model\.zip`/,
      advice: 'Unpack it first.',
    },
    {
      name: 'a PyTorch file (.bin) alone',
      from: 'PyTorch',
      input: { files: { 'weights.bin': ZIP('archive/data.pkl') }, path: 'weights.bin' },
      refusal: /is a PyTorch file \(torch\.save\), .* convert it with `python -c "import torch; .*weights\.safetensors/,
      advice: 'The message has the line of Python that converts it.',
    },
    {
      name: 'a folder of transformers with pytorch_model.bin',
      from: 'transformers',
      input: { files: { 'config.json': '{}', 'pytorch_model.bin': ZIP('archive/data.pkl') } },
      refusal: /has neither model\.safetensors .*, but pytorch_model\.bin: .*save_pretrained/,
      advice: 'The message has the line of Python that converts the folder.',
    },
    {
      name: 'shards of a Llama release (consolidated.00.pth)',
      from: 'Meta',
      input: { files: { 'consolidated.00.pth': ZIP('consolidated/data.pkl'), 'params.json': '{}' } },
      refusal: /consolidated\.00\.pth: the shards of Llama's own release; .*convert_llama_weights_to_hf/,
      advice: 'Take the model in the form of transformers, or convert it.',
    },
    {
      name: 'a Python pickle of weights',
      from: 'PyTorch',
      input: { files: { 'model.pkl': '\x80\x04\x95\0' } },
      refusal: /but model\.pkl, a Python pickle: convert it with/,
      advice: 'The message has the line of Python that converts it.',
    },
    {
      name: 'arrays of NumPy (.npz)',
      from: 'NumPy',
      input: { files: { 'weights.npz': ZIP('w.npy') }, path: 'weights.npz' },
      refusal: /is NumPy arrays \(\.npz\), .*from safetensors\.numpy import save_file/,
      advice: 'The message has the line of Python that converts it.',
    },
    {
      name: 'Keras or TensorFlow weights (.h5)',
      from: 'transformers',
      input: { files: { 'config.json': '{}', 'tf_model.h5': '\x89HDF\r\n\x1a\n' } },
      refusal: /tf_model\.h5, an HDF5 file .*from_tf=True/,
      advice: 'Convert them with transformers below 5.',
    },
    {
      name: 'Flax weights (.msgpack)',
      from: 'transformers',
      input: { files: { 'flax_model.msgpack': '\x82\xa6params\x81' } },
      refusal: /flax_model\.msgpack, a Flax file \(msgpack\): .*from_flax=True/,
      advice: 'Convert them with transformers below 5.',
    },
    {
      name: 'an ONNX model',
      from: 'ONNX',
      input: { files: { 'model.onnx': '\x08\x08\x12\x07pytorch\x1a' }, path: 'model.onnx' },
      refusal: /is an ONNX model, .* made to run, not to be trained/,
      advice: 'Take the model that it was exported from.',
    },
    {
      name: 'a Parquet file given as a model',
      from: 'datasets',
      input: { files: { 'train.parquet': 'PAR1\x15\x04\x15\x10' }, path: 'train.parquet' },
      refusal: /is a Parquet file, .* that is data, and no model; give it with --data/,
      advice: 'Data is given with --data.',
    },
    {
      name: 'a download that has not ended',
      from: 'browsers',
      input: { files: { 'config.json': '{}', 'model.safetensors.crdownload': 'x' } },
      refusal: /but model\.safetensors\.crdownload: a download that has not ended/,
      advice: 'Wait, or fetch it again.',
    },
    {
      name: 'a folder without weights',
      from: 'transformers',
      input: { files: { 'config.json': '{}' } },
      refusal: /has neither model\.safetensors nor model\.safetensors\.index\.json; it has config\.json/,
      advice: 'Give the folder that has the weights.',
    },
    {
      name: 'the output folder of a Trainer, with checkpoints',
      from: 'transformers',
      input: { files: { 'checkpoint-500/model.safetensors': MODEL } },
      refusal: /it has the folders checkpoint-500: give one of them/,
      advice: 'Give the path of a checkpoint.',
    },
    {
      name: 'config.json in the place of its folder',
      from: 'typing',
      input: { files: { 'config.json': '{}', 'model.safetensors': MODEL }, path: 'config.json' },
      refusal: /config\.json has no weights; give the folder that it lies in/,
      advice: 'Give the folder.',
    },
    {
      name: 'a path that is not there',
      from: 'typing',
      input: { files: {}, path: 'modle' },
      refusal: /there is no model at .*modle/,
      advice: 'Check the path.',
    },
    {
      name: 'only the fp16 variant',
      from: 'diffusers',
      input: { files: { 'model.fp16.safetensors': MODEL } },
      gives: { w: [1, 2] },
      warning: /has only the variant fp16 \(model\.fp16\.safetensors\), which is taken/,
      advice: 'It is taken, and the command says so.',
    },
    {
      name: 'several variants and none without',
      from: 'diffusers',
      input: { files: { 'model.fp16.safetensors': MODEL, 'model.bf16.safetensors': MODEL } },
      refusal: /has the variants bf16, fp16 and no model\.safetensors; choose one, as with --variant bf16/,
      advice: 'Choose with --variant.',
    },
    {
      name: 'a variant that is chosen',
      from: 'diffusers',
      input: { files: { 'model.safetensors': MODEL, 'model.fp16.safetensors': { tensors: { w: [3] } } }, variant: 'fp16' },
      gives: { w: [3] },
      advice: 'Choose with --variant, or `"variant"` of the job.',
    },
    {
      name: 'a variant in shards',
      from: 'diffusers',
      input: {
        files: {
          'model.safetensors.index.fp16.json': index({ w: 'model.fp16-00001-of-00001.safetensors' }),
          'model.fp16-00001-of-00001.safetensors': MODEL,
        },
        variant: 'fp16',
      },
      gives: { w: [1, 2] },
      advice: 'Its index says where its tensors are.',
    },
    {
      name: 'a variant that is not there',
      from: 'diffusers',
      input: { files: { 'model.safetensors': MODEL, 'model.fp16.safetensors': MODEL }, variant: 'fp32' },
      refusal: /has no weights of the variant "fp32"; it has fp16/,
      advice: 'The message names those that are there.',
    },
    {
      name: "Mistral's consolidated.safetensors",
      from: 'Mistral',
      input: { files: { 'consolidated.safetensors': MODEL, 'params.json': '{}' } },
      gives: { w: [1, 2] },
      advice: 'It is read under its own names; trainers of transformers want the other form of the same model.',
    },
    {
      name: 'one safetensors file of any name',
      from: 'Hugging Face hub',
      input: { files: { 'diffusion_pytorch_model.safetensors': MODEL, 'config.json': '{}' } },
      gives: { w: [1, 2] },
      advice: 'The only file of a folder is taken.',
    },
    {
      name: 'several safetensors files without an index',
      from: 'Hugging Face hub',
      input: { files: { 'a.safetensors': MODEL, 'b.safetensors': MODEL } },
      refusal: /has a\.safetensors, b\.safetensors, and no model\.safetensors .*; name the file/,
      advice: 'Name the file.',
    },
    {
      name: 'shards with an index',
      from: 'transformers',
      input: {
        files: {
          'model.safetensors.index.json': index({ a: 'model-00001-of-00002.safetensors', b: 'model-00002-of-00002.safetensors' }),
          'model-00001-of-00002.safetensors': { tensors: { a: [1] } },
          'model-00002-of-00002.safetensors': { tensors: { b: [2] } },
        },
      },
      gives: { a: [1], b: [2] },
      advice: 'Name the folder.',
    },
    {
      name: 'all shards, and no index',
      from: 'shared folders',
      input: {
        files: { 'model-00001-of-00002.safetensors': { tensors: { a: [1] } }, 'model-00002-of-00002.safetensors': { tensors: { b: [2] } } },
      },
      gives: { a: [1], b: [2] },
      warning: /has all 2 shards and no index/,
      advice: 'They are joined, and the command says so.',
    },
    {
      name: 'a shard that is missing',
      from: 'transformers',
      input: {
        files: {
          'model.safetensors.index.json': index({ a: 'model-00001-of-00002.safetensors', b: 'model-00002-of-00002.safetensors' }),
          'model-00001-of-00002.safetensors': { tensors: { a: [1] } },
        },
      },
      refusal: /lacks 1 of 2 shards: model-00002-of-00002\.safetensors; fetch the model again/,
      advice: 'Fetch the model again.',
    },
    {
      name: 'a shard that is missing, and no index',
      from: 'transformers',
      input: { files: { 'model-00001-of-00002.safetensors': { tensors: { a: [1] } } } },
      refusal: /lacks 1 of 2 shards: model-00002-of-00002\.safetensors/,
      advice: 'Fetch the model again.',
    },
    {
      name: 'an old shard that the index does not name',
      from: 'transformers',
      input: {
        files: {
          'model.safetensors.index.json': index({ a: 'model-00001-of-00001.safetensors' }),
          'model-00001-of-00001.safetensors': { tensors: { a: [1] } },
          'model-00002-of-00002.safetensors': { tensors: { b: [2] } },
        },
      },
      gives: { a: [1] },
      advice: 'The index counts; other files are left alone.',
    },
    {
      name: 'a tensor in a shard that the index places elsewhere',
      from: 'transformers',
      input: {
        files: { 'model.safetensors.index.json': index({ a: 's.safetensors' }), 's.safetensors': { tensors: { a: [1], b: [2] } } },
      },
      refusal: /s\.safetensors holds b, which the index does not place there/,
      advice: 'Fetch the model again.',
    },
    {
      name: 'an index with a name twice',
      from: 'safetensors',
      input: { files: { 'model.safetensors.index.json': '{"weight_map":{"a":"s.safetensors","a":"t.safetensors"}}' } },
      refusal: /is not an index of shards: "a" is there twice/,
      advice: 'Fetch the model again.',
    },
    {
      name: 'an index that names a file outside its folder',
      from: 'safetensors',
      input: { files: { 'model.safetensors.index.json': index({ a: '../../etc/passwd' }) } },
      refusal: /is not an index of shards: .*not a plain relative path/,
      advice: 'Do not use that model.',
    },
    {
      name: 'an index that is a Git LFS pointer',
      from: 'Git',
      input: { files: { 'model.safetensors.index.json': POINTER } },
      refusal: /is not an index of shards: it is a Git LFS pointer/,
      advice: 'Fetch it with `git lfs pull`.',
    },
    {
      name: 'old tables beside the weights (rotary_emb.inv_freq)',
      from: 'transformers',
      input: { files: { 'model.safetensors': { tensors: { 'model.layers.0.self_attn.rotary_emb.inv_freq': [1, 2], w: [3] } } } },
      gives: { w: [3] },
      advice: 'They are left out; other tensors that the model does not have are named.',
    },
    {
      name: 'a tensor with an empty name',
      from: 'NumPy',
      input: { files: { 'model.safetensors': { tensors: { '': [1] } } } },
      refusal: /a tensor has an empty name/,
      advice: 'Give every tensor a name.',
    },
    {
      name: 'a tensor with a name of 1,025 characters',
      from: 'NumPy',
      input: { files: { 'model.safetensors': { tensors: { ['x'.repeat(1025)]: [1] } } } },
      refusal: /a tensor's name has 1025 characters, and at most 1024 are allowed/,
      advice: 'Use shorter names.',
    },
    {
      name: 'a tensor called __proto__',
      from: 'fuzzers',
      input: { files: { 'model.safetensors': { tensors: Object.fromEntries([['__proto__', [1]]]) } } },
      gives: Object.fromEntries([['__proto__', [1]]]),
      advice: 'It is a name like any other.',
    },
    {
      name: "a model's folder in the hub's cache",
      from: 'Hugging Face hub',
      input: {
        files: {
          [`${CACHE}/refs/main`]: 'abc\n',
          [`${CACHE}/blobs/b`]: MODEL,
          [`${CACHE}/snapshots/abc/model.safetensors`]: { link: '../../blobs/b' },
          [`${CACHE}/snapshots/old/model.safetensors`]: { link: '../../blobs/b' },
        },
        path: CACHE,
      },
      gives: { w: [1, 2] },
      advice: 'The snapshot of `main` is taken.',
    },
    {
      name: "refs/main of the hub's cache",
      from: 'Hugging Face hub',
      input: { files: { [`${CACHE}/refs/main`]: 'abc', [`${CACHE}/snapshots/abc/model.safetensors`]: MODEL }, path: `${CACHE}/refs/main` },
      gives: { w: [1, 2] },
      advice: 'It stands for the snapshot that it names.',
    },
    {
      name: 'a cache with one model',
      from: 'Hugging Face hub',
      input: { files: { [`hub/${CACHE}/refs/main`]: 'abc', [`hub/${CACHE}/snapshots/abc/model.safetensors`]: MODEL }, path: 'hub' },
      gives: { w: [1, 2] },
      advice: 'The only model is taken; of several, name one.',
    },
    {
      name: 'a snapshot whose blob is gone',
      from: 'Hugging Face hub',
      input: { files: { [`${CACHE}/snapshots/abc/model.safetensors`]: { link: '../../blobs/gone' } }, path: `${CACHE}/snapshots/abc` },
      refusal: /has model\.safetensors as a link to a file that is not there; fetch the model again/,
      advice: 'Fetch the model again.',
    },
    {
      name: 'two snapshots and no refs/main',
      from: 'Hugging Face hub',
      input: {
        files: {
          [`${CACHE}/blobs/b`]: 'x',
          [`${CACHE}/snapshots/abc/model.safetensors`]: MODEL,
          [`${CACHE}/snapshots/def/model.safetensors`]: MODEL,
        },
        path: CACHE,
      },
      refusal: /has 2 snapshots: abc, def; give the path of one/,
      advice: 'Give the path of a snapshot.',
    },
  ],
};
