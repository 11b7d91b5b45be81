// The dtypes that a model's checkpoint has, noted in a manifest whose own tensors are float32: what a trainer is given, and what a run leaves.
import { z } from 'zod';
import { FedStreamError } from '../core/errors.js';
import { DTYPES, type Dtype } from './dtype.js';
import type { Manifest, TensorEntry } from './manifest.js';

/** The key of a manifest's metadata, and of `__metadata__` in a safetensors file. */
const KEY = 'fedstream.dtypes';

const floatDtype = z.enum(['F32', 'F16', 'BF16']);

const noteSchema = z.strictObject({
  /** Of every float tensor that `names` does not have. */
  default: floatDtype,
  names: z.record(z.string(), floatDtype).default({}),
});

/** The manifest with a note of the float dtypes that it has: the most common one, and every tensor that has another. */
export function noteDtypes(manifest: Manifest): Manifest {
  const floats = manifest.tensors.filter(({ dtype }) => DTYPES[dtype].quantizable);
  const counts = new Map<Dtype, number>();
  for (const { dtype } of floats) counts.set(dtype, (counts.get(dtype) ?? 0) + 1);
  const common = [...counts].sort(([, a], [, b]) => b - a)[0]?.[0] ?? 'F32';
  const names = Object.fromEntries(floats.filter(({ dtype }) => dtype !== common).map(({ name, dtype }) => [name, dtype]));
  return { ...manifest, metadata: { ...manifest.metadata, [KEY]: JSON.stringify({ default: common, names }) } };
}

/** What each tensor's dtype is in the checkpoint; its own one without a note. `bad-manifest` where the note cannot be read. */
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

/** The manifest as it is for others: without the note. */
export function withoutNote(manifest: Manifest): Manifest {
  const { [KEY]: _, ...metadata } = manifest.metadata;
  return { ...manifest, metadata };
}

/** The note of `from` on `manifest`. */
export function withNoteOf(manifest: Manifest, from: Manifest): Manifest {
  const note = from.metadata[KEY];
  return note === undefined ? manifest : { ...manifest, metadata: { ...manifest.metadata, [KEY]: note } };
}
