// Texts of a model folder in the manifest of an offered model, for texts that are too large for the
// header of a frame.
import { z } from 'zod';
import { BUDGETS } from '../core/budgets.js';
import { FedStreamError } from '../core/errors.js';
import type { Manifest } from './manifest.js';

/** The key in a manifest's metadata. */
const KEY = 'fedstream.texts';
/** The most texts of a model folder that come with an offered model. */
const MOST_TEXTS = 16;

const noteSchema = z.record(z.string().max(64), z.string()).refine((all) => Object.keys(all).length <= MOST_TEXTS);

/** The manifest with the texts, by file name. */
export function withTexts(manifest: Manifest, texts: Readonly<Record<string, string>>): Manifest {
  return { ...manifest, metadata: { ...manifest.metadata, [KEY]: JSON.stringify(texts) } };
}

/**
 * The texts in a manifest of somebody else, and the manifest without them. Throws `bad-manifest` for
 * texts that cannot be read or are larger than the budget.
 */
export function takeTexts(manifest: Manifest): { readonly manifest: Manifest; readonly texts: Readonly<Record<string, string>> } {
  if (!Object.hasOwn(manifest.metadata, KEY)) return { manifest, texts: {} };
  const { [KEY]: note = '', ...metadata } = manifest.metadata;
  const most = BUDGETS.offeredTextBytes.limit;
  try {
    const texts = noteSchema.parse(JSON.parse(note));
    if (textBytes(texts) > most) throw new Error(`they have ${textBytes(texts)} bytes; at most ${most} are taken`);
    return { manifest: { ...manifest, metadata }, texts };
  } catch (cause) {
    throw new FedStreamError('bad-manifest', `the texts of an offered model cannot be used: ${(cause as Error).message}`, { cause });
  }
}

/** Bytes of all texts together, in UTF-8. */
export function textBytes(texts: Readonly<Record<string, string | undefined>>): number {
  return Object.values(texts).reduce((sum, text) => sum + new TextEncoder().encode(text ?? '').length, 0);
}
