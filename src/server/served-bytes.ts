// Texts and manifests as bytes, made once however many sites ask for them, and however often.
import type { Manifest } from '../tensor/manifest.js';
import { encodeManifest } from '../tensor/manifest-json.js';

const bytesOfFiles = new WeakMap<Readonly<Record<string, string>>, Map<string, Uint8Array>>();
const bytesOfManifests = new WeakMap<Manifest, Uint8Array>();

/** The bytes of a text that sites may fetch; undefined if there is none of that name. */
export function fileBytes(files: Readonly<Record<string, string>>, name: string): Uint8Array | undefined {
  if (!Object.hasOwn(files, name)) return undefined;
  const known = bytesOfFiles.get(files) ?? new Map<string, Uint8Array>();
  bytesOfFiles.set(files, known);
  const bytes = known.get(name) ?? new TextEncoder().encode(files[name]);
  known.set(name, bytes);
  return bytes;
}

/** The manifest as it is served. */
export function manifestBytes(manifest: Manifest): Uint8Array {
  const bytes = bytesOfManifests.get(manifest) ?? encodeManifest(manifest);
  bytesOfManifests.set(manifest, bytes);
  return bytes;
}
