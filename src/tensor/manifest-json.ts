// A manifest as JSON, and back from JSON that a peer or a file gave.
import { z } from 'zod';
import { FedStreamError } from '../core/errors.js';
import { type Dtype, dtypeBytes, elementCount, isDtype } from './dtype.js';
import type { Manifest } from './manifest.js';

/**
 * The most tensors of a manifest. A mixture-of-experts model of hundreds of billions of parameters
 * has some 100,000.
 */
export const MAX_TENSORS = 1_000_000;
/** The size of a chunk is a multiple of this, so that every block of every codec divides it. */
const CHUNK_MULTIPLE = 16_384;
const MAX_CHUNK_ELEMENTS = 2 ** 24;
const MAX_NAME_LENGTH = 1024;

const tensorName = z.string().min(1).max(MAX_NAME_LENGTH);

/** The most numbers of a codec's own in one encoding. */
const MAX_PARAMETERS = 8;
const parameterName = z.string().regex(/^[a-z][A-Za-z0-9]{0,31}$/, 'is not a parameter name');

const encodingSchema = z.strictObject({
  codec: z.string().min(1).max(64),
  blockSize: z.int().min(1).max(MAX_CHUNK_ELEMENTS).optional(),
  nested: z.boolean().optional(),
  parameters: z
    .record(parameterName, z.number())
    .refine((given) => Object.keys(given).length <= MAX_PARAMETERS, `more than ${MAX_PARAMETERS} parameters`)
    .optional(),
});

const tensorSchema = z.strictObject({
  name: tensorName,
  dtype: z.string().refine(isDtype, 'unknown dtype'),
  shape: z.array(z.int().min(0)).max(64),
  encoding: encodingSchema,
});

const manifestSchema = z.strictObject({
  tensors: z.array(tensorSchema).max(MAX_TENSORS),
  chunkElements: z.int().min(CHUNK_MULTIPLE).max(MAX_CHUNK_ELEMENTS).multipleOf(CHUNK_MULTIPLE),
  tied: z.record(tensorName, tensorName),
  metadata: z.record(z.string(), z.string()),
});

/** The manifest as UTF-8 JSON. */
export function encodeManifest(manifest: Manifest): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(manifest));
}

/**
 * Reads a manifest. Throws `bad-manifest` unless the bytes are a manifest whose names are unique
 * and whose shapes and dtypes have a size.
 */
export function parseManifest(bytes: Uint8Array, source: string): Manifest {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new FedStreamError('bad-manifest', `the manifest of ${source} is not JSON: ${(cause as Error).message}`, { cause });
  }
  const parsed = manifestSchema.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0] as z.core.$ZodIssue;
    throw new FedStreamError(
      'bad-manifest',
      `the manifest of ${source} is wrong at ${issue.path.join('.') || 'its root'}: ${issue.message}`,
    );
  }
  const manifest = parsed.data as Manifest;
  checkManifest(manifest, source);
  return manifest;
}

/** Checks the rules that a schema cannot express. */
function checkManifest(manifest: Manifest, source: string): void {
  const names = new Set<string>();
  for (const tensor of manifest.tensors) {
    if (names.has(tensor.name)) throw new FedStreamError('bad-manifest', `the manifest of ${source} names ${tensor.name} twice`);
    names.add(tensor.name);
    dtypeBytes(tensor.dtype as Dtype, elementCount(tensor.shape));
  }
  for (const [alias, name] of Object.entries(manifest.tied)) {
    if (names.has(alias) || !names.has(name))
      throw new FedStreamError('bad-manifest', `the manifest of ${source} ties ${alias} to ${name}, which is not allowed`);
  }
}
