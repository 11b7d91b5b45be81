// Updates in the form in which filters get them: raw, every float tensor in float32.
import type { CodecTable } from '../codec/codec.js';
import { inFloat32 } from '../codec/float32.js';
import { decodeModel } from '../codec/quantize.js';
import { type Manifest, RAW } from '../tensor/manifest.js';
import { bytesless, type StateDict } from '../tensor/state-dict.js';

/**
 * The same values, decoded and in float32; dtypes that no codec may quantize pass unchanged.
 * Returns the state dict itself where it has this form already.
 */
export function asUpdate(model: StateDict, codecs: CodecTable): StateDict {
  return decodeModel(inFloat32(model), codecs);
}

/** The manifest of `asUpdate`. */
export function updateManifest(manifest: Manifest): Manifest {
  const { manifest: floats } = inFloat32(bytesless(manifest));
  return { ...floats, tensors: floats.tensors.map((tensor) => ({ ...tensor, encoding: RAW })) };
}
