// The model that a run begins with, or that a site has already: its weights decoded, without tables
// that old programs stored, and its texts.
import { decodeModel } from '../../codec/quantize.js';
import { readText } from '../../core/storage-text.js';
import { withoutKnownExtras } from '../../tensor/known-extras.js';
import type { StateDict } from '../../tensor/state-dict.js';
import { nodeCodecs } from '../codec/codecs.js';
import { type ModelPlace, openPlace } from './find-model.js';

/** Opens the weights for training: raw, each tensor in its own dtype, under the names of Hugging Face. */
export async function openStartModel(place: ModelPlace): Promise<StateDict> {
  const codecs = nodeCodecs();
  return withoutKnownExtras(decodeModel(await openPlace(place, codecs), codecs));
}

/** The texts of those names beside the weights; a name without a file is missing. */
export async function startTexts({ folder }: ModelPlace, names: readonly string[]): Promise<Partial<Record<string, string>>> {
  const texts: Partial<Record<string, string>> = {};
  for (const name of names) texts[name] = await readText(folder, name);
  return texts;
}
