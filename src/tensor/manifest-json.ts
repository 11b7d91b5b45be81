// A manifest as JSON, and back from JSON that is in memory.
import type { Manifest } from './manifest.js';
import { ManifestReader } from './manifest-reader.js';

/** The manifest as UTF-8 JSON. */
export function encodeManifest(manifest: Manifest): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(manifest));
}

/**
 * Reads a manifest. Throws `bad-manifest` unless the bytes are a manifest whose names are unique
 * and whose shapes and dtypes have a size.
 */
export function parseManifest(bytes: Uint8Array, source: string): Manifest {
  const reader = new ManifestReader(source);
  reader.push(bytes);
  return reader.finish();
}
