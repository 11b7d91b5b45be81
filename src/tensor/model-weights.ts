// Chooses the weights of a model folder among all that people keep in one: variants, shards, copies
// in other formats.
import { FedStreamError } from '../core/errors.js';
import { readKind } from '../core/file-kind.js';
import type { FileKind } from '../core/file-kind-name.js';
import { listed } from '../core/listed.js';
import type { Folder } from '../core/storage.js';
import { modelAdvice } from './model-advice.js';
import { completeShards } from './shard-names.js';

/** The weights of a model in one file. */
export const MODEL_FILE = 'model.safetensors';
/** The index of a model in shards: it names the shard of each tensor. */
export const INDEX_FILE = 'model.safetensors.index.json';
/** The weights of a PEFT adapter, beside its `adapter_config.json`. */
export const ADAPTER_FILE = 'adapter_model.safetensors';

/** The files of a folder that hold a model, by the way in which they are read. */
export type Weights =
  | { readonly kind: 'file' | 'index' | 'gguf'; readonly name: string }
  | { readonly kind: 'shards'; readonly names: readonly string[] };

/** The choice among several sets of weights. */
export interface WeightsChoice {
  /** The variant of a name like `model.fp16.safetensors`; by default the one without, or the only one. */
  readonly variant?: string | undefined;
  /** Hears of a choice that nobody asked for. */
  readonly onNote?: ((text: string) => void) | undefined;
}

/** Weights that have no variant in their name, the usual ones first; Mistral calls its own "consolidated". */
const USUAL = [MODEL_FILE, INDEX_FILE, ADAPTER_FILE, 'consolidated.safetensors', 'consolidated.safetensors.index.json'];
const VARIANT_FILE = /^(?:model|adapter_model|pytorch_model|diffusion_pytorch_model)\.([\w-]+)\.safetensors$/;
const VARIANT_INDEX = /^(?:model|pytorch_model|diffusion_pytorch_model)\.safetensors\.index\.([\w-]+)\.json$/;
const UNFINISHED = /\.(?:part|incomplete|crdownload|aria2|tmp|download)$/;
/** Weights in other formats, as their programs name them. */
const OTHER = /\.(?:bin|pt|pth|ckpt|h5|keras|msgpack|onnx|npz|npy|tflite|ggml|pkl)$/i;
const MOST_NAMES = 8;

/**
 * The weights of a folder. Throws `bad-model` where there are none, or several and nobody says
 * which; the message names those that are there.
 */
export async function findWeights(folder: Folder, { variant, onNote = () => {} }: WeightsChoice = {}): Promise<Weights> {
  const names = await folder.list();
  if (variant !== undefined) return variantWeights(folder, names, variant);
  for (const name of USUAL) if (await present(folder, name, names)) return weightsNamed(name);
  const variants = variantsOf(names);
  const [only] = variants.values();
  if (variants.size > 1)
    throw bad(
      folder,
      `has the variants ${[...variants.keys()].join(', ')} and no ${MODEL_FILE}; choose one, as with --variant ${[...variants.keys()][0]}, or name the file`,
    );
  if (only !== undefined) {
    onNote(`${folder.label} has only the variant ${[...variants.keys()][0]} (${only}), which is taken`);
    return weightsNamed(only);
  }
  return loneWeights(folder, names, onNote);
}

/** The weights of a name that a person gave. */
export function weightsNamed(name: string): Weights {
  if (name.endsWith('.json')) return { kind: 'index', name };
  return { kind: name.toLowerCase().endsWith('.gguf') ? 'gguf' : 'file', name };
}

async function variantWeights(folder: Folder, names: readonly string[], variant: string): Promise<Weights> {
  const variants = variantsOf(names);
  const name = variants.get(variant);
  if (name === undefined) {
    const known = variants.size > 0 ? `it has ${[...variants.keys()].join(', ')}` : 'it has none';
    throw bad(folder, `has no weights of the variant ${JSON.stringify(variant)}; ${known}`);
  }
  await present(folder, name, names);
  return weightsNamed(name);
}

/** The file or the index of each variant. */
function variantsOf(names: readonly string[]): Map<string, string> {
  const found = new Map<string, string>();
  for (const name of names) {
    const variant = VARIANT_INDEX.exec(name)?.[1] ?? VARIANT_FILE.exec(name)?.[1];
    if (variant !== undefined && !found.has(variant)) found.set(variant, name);
  }
  return found;
}

/** True for a file that is there; throws for a link whose target is not. */
async function present(folder: Folder, name: string, names: readonly string[]): Promise<boolean> {
  if ((await folder.sizeBytes(name)) !== undefined) return true;
  if (!names.includes(name) || (await folder.list(name)).length > 0) return false;
  throw bad(folder, `has ${name} as a link to a file that is not there; fetch the model again, or copy it with links followed (cp -L)`);
}

/** Weights under a name of their own: shards without an index, or the only file of the format. */
async function loneWeights(folder: Folder, names: readonly string[], onNote: (text: string) => void): Promise<Weights> {
  const files = names.filter((name) => name.endsWith('.safetensors'));
  const shards = completeShards(files, folder.label);
  if (shards) {
    onNote(`${folder.label} has all ${shards.length} shards and no index; the tensors are those that the shards hold`);
    return { kind: 'shards', names: shards };
  }
  if (files.length > 1) throw bad(folder, `has ${listed(files, MOST_NAMES)}, and no ${MODEL_FILE} or ${INDEX_FILE}; name the file`);
  if (files.length === 1) return { kind: 'file', name: files[0] as string };
  const ggufs = names.filter((name) => name.toLowerCase().endsWith('.gguf'));
  if (ggufs.length > 1 && completeShards(ggufs, folder.label))
    throw bad(folder, `has a model in ${ggufs.length} parts; join them with \`llama-gguf-split --merge ${ggufs[0]} OUT.gguf\``);
  if (ggufs.length > 1) throw bad(folder, `has ${listed(ggufs, MOST_NAMES)}; name the one to be read`);
  if (ggufs.length === 1) return { kind: 'gguf', name: ggufs[0] as string };
  throw await nothingUsable(folder, names);
}

async function nothingUsable(folder: Folder, names: readonly string[]): Promise<FedStreamError> {
  const none = `has neither ${MODEL_FILE} nor ${INDEX_FILE}`;
  const unfinished = names.find((name) => UNFINISHED.test(name));
  if (unfinished !== undefined) return bad(folder, `${none}, but ${unfinished}: a download that has not ended; fetch the model again`);
  const other = names.find((name) => OTHER.test(name));
  if (other !== undefined) return otherFormat(folder, none, other, names);
  const inside = names.filter((name) => /^(?:checkpoint-\d+|snapshots|final|model|models--.+)$/.test(name));
  if (inside.length > 0) return bad(folder, `${none}; it has the folders ${listed(inside, MOST_NAMES)}: give one of them`);
  return bad(folder, `${none}; ${names.length === 0 ? 'it is empty' : `it has ${listed(names, MOST_NAMES)}`}`);
}

async function otherFormat(folder: Folder, none: string, name: string, names: readonly string[]): Promise<FedStreamError> {
  const path = `${folder.label}/${name}`;
  if (/^consolidated\.\d+\.pth$/.test(name)) {
    const shards = names.filter((one) => one.endsWith('.pth'));
    return bad(
      folder,
      `${none}, but ${listed(shards, MOST_NAMES)}: the shards of Llama's own release; take the model in the form of transformers, or convert it with \`python -m transformers.models.llama.convert_llama_weights_to_hf --input_dir ${folder.label} --output_dir OUT\``,
    );
  }
  if (/\.bin$/.test(name) && names.includes('config.json'))
    return bad(
      folder,
      `${none}, but ${name}: weights of PyTorch; convert them with \`python -c "from transformers import AutoModelForCausalLM as M; M.from_pretrained('${folder.label}', torch_dtype='auto').save_pretrained('${folder.label}/safetensors')"\``,
    );
  const { name: kind, looksLike } = await kindOf(folder, name);
  return bad(folder, `${none}, but ${name}, ${looksLike}: ${modelAdvice(kind, path) ?? 'save the model as safetensors'}`);
}

/** The kind of a file by its first bytes. */
export async function kindOf(folder: Folder, name: string): Promise<FileKind> {
  const file = await folder.open(name);
  try {
    return await readKind(file);
  } finally {
    await file.close();
  }
}

function bad(folder: Folder, what: string): FedStreamError {
  return new FedStreamError('bad-model', `${folder.label} ${what}`);
}
