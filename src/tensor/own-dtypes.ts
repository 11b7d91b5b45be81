// The dtypes of a model's checkpoint, noted in a manifest whose own tensors are float32.
import { z } from 'zod';
import { FedStreamError } from '../core/errors.js';
import { DTYPES, type Dtype } from './dtype.js';
import type { Manifest, TensorEntry } from './manifest.js';

/** The key in a manifest's metadata, and in `__metadata__` of a safetensors file. */
const KEY = 'fedstream.dtypes';

const floatDtype = z.enum(['F32', 'F16', 'BF16']);

const noteSchema = z.strictObject({
  /** The dtype of every float tensor that is not in `names`. */
  default: floatDtype,
  names: z.record(z.string(), floatDtype).default({}),
});

/**
 * The manifest with a note of its float dtypes: the most common one, and every tensor that has
 * another. A trainer is given these dtypes, and a run's final model has them.
 */
export function noteDtypes(manifest: Manifest): Manifest {
  const floats = manifest.tensors.filter(({ dtype }) => DTYPES[dtype].quantizable);
  const counts = new Map<Dtype, number>();
  for (const { dtype } of floats) counts.set(dtype, (counts.get(dtype) ?? 0) + 1);
  const common = [...counts].sort(([, a], [, b]) => b - a)[0]?.[0] ?? 'F32';
  const names = Object.fromEntries(floats.filter(({ dtype }) => dtype !== common).map(({ name, dtype }) => [name, dtype]));
  return { ...manifest, metadata: { ...manifest.metadata, [KEY]: JSON.stringify({ default: common, names }) } };
}

/**
 * The dtype of each tensor in the checkpoint; without a note, its own. Throws `bad-manifest` if the
 * note cannot be read.
 */
export function notedDtypes({ metadata }: Manifest): (tensor: Pick<TensorEntry, 'name' | 'dtype'>) => Dtype {
  const text = Object.hasOwn(metadata, KEY) ? metadata[KEY] : undefined;
  if (text === undefined) return ({ dtype }) => dtype;
  let note: z.output<typeof noteSchema>;
  try {
    note = noteSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new FedStreamError('bad-manifest', `the note of the model's dtypes cannot be read: ${text.slice(0, 80)}`, { cause });
  }
  const names = new Map(Object.entries(note.names));
  return ({ name, dtype }) => (DTYPES[dtype].quantizable ? (names.get(name) ?? note.default) : dtype);
}

/** The manifest without the note, as others see it. */
export function withoutNote(manifest: Manifest): Manifest {
  const { [KEY]: _, ...metadata } = manifest.metadata;
  return { ...manifest, metadata };
}

/** Puts the note of `from` on `manifest`. */
export function withNoteOf(manifest: Manifest, from: Manifest): Manifest {
  const note = from.metadata[KEY];
  return note === undefined ? manifest : { ...manifest, metadata: { ...manifest.metadata, [KEY]: note } };
}
