// A GGUF file as the beginning of a run: its tensors under the names of Hugging Face, and the texts
// of a model folder made of its fields.
import { checkDecodable, withGgufCodecs } from '../../codec/gguf-codecs.js';
import { decodeModel } from '../../codec/quantize.js';
import { FedStreamError } from '../../core/errors.js';
import { type GgufFile, ggufModel, openGguf } from '../../tensor/gguf/gguf-file.js';
import { kindOf } from '../../tensor/model-weights.js';
import type { StateDict } from '../../tensor/state-dict.js';
import { huggingFaceView, needArchitecture } from '../../trainer/gguf/architecture.js';
import { ggufConfig } from '../../trainer/gguf/gguf-config.js';
import { ggufTokenizer } from '../../trainer/gguf/gguf-tokenizer.js';
import { nodeCodecs } from '../codec/codecs.js';
import type { ModelPlace } from './find-model.js';

/** True if the weights of a place are a GGUF file, whatever its name. */
export async function isGguf({ folder, weights }: ModelPlace): Promise<boolean> {
  return (weights.kind === 'file' || weights.kind === 'gguf') && (await kindOf(folder, weights.name)).name === 'gguf';
}

/** Opens the file of a place that `isGguf`. */
function openGgufPlace({ folder, weights }: ModelPlace): Promise<GgufFile> {
  if (weights.kind !== 'gguf' && weights.kind !== 'file') throw new FedStreamError('internal', `${folder.label} is no GGUF file`);
  return openGguf(folder, weights.name);
}

/** Whose names a file's tensors get: its own, or those of transformers. */
export type GgufNames = 'file' | 'huggingface';

/**
 * The names that fit: those of transformers for a folder, if its tensors and fields make such a
 * model; `onNote` hears why they do not.
 */
export async function ggufNames(place: ModelPlace, toFolder: boolean, onNote: (text: string) => void): Promise<GgufNames> {
  if (!toFolder) return 'file';
  const file = await openGgufPlace(place);
  try {
    await underOtherNames(file);
    return 'huggingface';
  } catch (error) {
    if (!(error instanceof FedStreamError)) throw error;
    onNote(`the tensors keep the names of the file: ${error.message}`);
    return 'file';
  } finally {
    await file.close();
  }
}

/** Its tensors decoded under the names of transformers, as a run begins with them; throws `bad-model`. */
export function openGgufStart(place: ModelPlace): Promise<StateDict> {
  return openGgufDecoded(place, 'huggingface');
}

/** Its tensors decoded; throws `bad-model` for a type or an architecture that is not known here. */
export async function openGgufDecoded(place: ModelPlace, names: GgufNames): Promise<StateDict> {
  const file = await openGgufPlace(place);
  try {
    const model = names === 'file' ? ggufModel(file) : await underOtherNames(file);
    checkWhole(file);
    checkDecodable(model.manifest, file.label);
    return decodeModel(model, withGgufCodecs(nodeCodecs()));
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** A file may be one of several that a model was cut into. */
function checkWhole({ fields, label }: GgufFile): void {
  const count = fields.get('split.count');
  if (typeof count === 'number' && count > 1)
    throw new FedStreamError(
      'bad-model',
      `${label} is one of ${count} parts of a model; join them with \`llama-gguf-split --merge FIRST-PART OUT.gguf\``,
    );
}

async function underOtherNames(file: GgufFile): Promise<StateDict> {
  const architecture = needArchitecture(file);
  const { heads } = await ggufConfig(file, architecture);
  return ggufModel(file, huggingFaceView(file, architecture, heads));
}

/** Texts of a model folder, and in words why the tokenizer is not among them. */
export interface GgufTexts {
  readonly texts: Readonly<Record<string, string>>;
  readonly missing: string | undefined;
}

/**
 * The texts that stand in its fields: `config.json`, and the tokenizer if it can be made exactly. One
 * that lies beside the file counts first, so that no other is made.
 */
export async function ggufTexts(place: ModelPlace): Promise<GgufTexts> {
  const hasOwn = (await place.folder.sizeBytes('tokenizer.json')) !== undefined;
  const file = await openGgufPlace(place);
  try {
    const { json } = await ggufConfig(file, needArchitecture(file));
    const config = { 'config.json': json };
    if (hasOwn) return { texts: config, missing: undefined };
    const tokenizer = await ggufTokenizer(file);
    if ('missing' in tokenizer) return { texts: config, missing: tokenizer.missing };
    return { texts: { ...config, 'tokenizer.json': tokenizer.json, 'tokenizer_config.json': tokenizer.configJson }, missing: undefined };
  } finally {
    await file.close();
  }
}
