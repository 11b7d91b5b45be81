// The model that a run begins with, or that a site has already: its weights decoded, without tables
// that old programs stored, and its texts.
import { decodeModel } from '../../codec/quantize.js';
import { FedStreamError } from '../../core/errors.js';
import { fileKind, SNIFF_BYTES } from '../../core/file-kind.js';
import type { FileKindName } from '../../core/file-kind-name.js';
import { readText } from '../../core/storage-text.js';
import { withoutKnownExtras } from '../../tensor/known-extras.js';
import { modelAdvice } from '../../tensor/model-advice.js';
import type { StateDict } from '../../tensor/state-dict.js';
import { nodeCodecs } from '../codec/codecs.js';
import { type ModelPlace, openPlace } from './find-model.js';
import { ggufTexts, isGguf, openGgufStart } from './gguf-start.js';

/** Opens the weights for training: raw, each tensor in its own dtype, under the names of Hugging Face. */
export async function openStartModel(place: ModelPlace): Promise<StateDict> {
  if (await isGguf(place)) return openGgufStart(place);
  const codecs = nodeCodecs();
  return withoutKnownExtras(decodeModel(await openPlace(place, codecs), codecs));
}

/**
 * The texts of those names beside the weights; a name without a file is missing. For a GGUF file the
 * configuration is made of its fields, and the tokenizer too where none lies beside it; throws
 * `bad-model` where that cannot be made.
 */
export async function startTexts(place: ModelPlace, names: readonly string[]): Promise<Partial<Record<string, string>>> {
  const texts: Partial<Record<string, string>> = {};
  for (const name of names) texts[name] = checkedText(await readText(place.folder, name), `${place.folder.label}/${name}`);
  if (!(await isGguf(place))) return texts;
  const made = await ggufTexts(place);
  if (made.missing !== undefined)
    throw new FedStreamError(
      'bad-model',
      `${place.folder.label}: ${made.missing}; put tokenizer.json and tokenizer_config.json of the same model beside the GGUF file`,
    );
  return { ...texts, ...made.texts };
}

/** Refuses a pointer or a page of a server in the place of a text; `bad-model`. */
function checkedText(text: string | undefined, path: string): string | undefined {
  if (text === undefined) return undefined;
  const bytes = new TextEncoder().encode(text.slice(0, SNIFF_BYTES));
  const kind = fileKind(bytes, text.length);
  if (!PLACEHOLDERS.has(kind.name)) return text;
  throw new FedStreamError('bad-model', `${path} is ${kind.looksLike}: ${modelAdvice(kind.name, path)}`);
}

/** What Git and servers put in the place of a file. */
const PLACEHOLDERS: ReadonlySet<FileKindName> = new Set(['git-annex', 'git-lfs', 'html', 'json-error', 'xml']);
