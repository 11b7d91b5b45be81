// Looks for the model that a run begins with among the site's own models; one that is found need
// not travel.
import type { CodecTable } from '../codec/codec.js';
import { inFloat32 } from '../codec/float32.js';
import { decodeModel } from '../codec/quantize.js';
import { contentDigest } from '../exchange/content-digest.js';
import type { Manifest } from '../tensor/manifest.js';
import { notedDtypes } from '../tensor/own-dtypes.js';
import { arrangeTensors } from '../tensor/select-tensors.js';
import { type StateDict, withManifest } from '../tensor/state-dict.js';

/** A model that a site already has: in a folder that its owner named, or made by its trainer. */
export interface Base {
  /** The name of the base in messages, and the key by which it is found again. */
  readonly label: string;
  /** True where it stays in its place for the whole run; otherwise it is copied. */
  readonly stays: boolean;
  open(): Promise<StateDict>;
}

/**
 * Opens a base as float32, in the order of `wanted` and with its note of dtypes; the caller closes
 * it. Where the tensors differ, returns the difference in words for people instead.
 */
export async function openBase(base: Base, wanted: Manifest, codecs: CodecTable): Promise<StateDict | string> {
  const model = await base.open();
  const differs = differenceOf(model.manifest, wanted);
  if (differs !== undefined) {
    await model.close?.();
    return differs;
  }
  const arranged = decodeModel(inFloat32(arrangeTensors(model, wanted)), codecs);
  return withManifest(arranged, { ...arranged.manifest, metadata: wanted.metadata });
}

/** As `openBase`, but also reads the values and compares their digest. */
export async function matchingBase(base: Base, wanted: Manifest, digest: string, codecs: CodecTable): Promise<StateDict | string> {
  const model = await openBase(base, wanted, codecs);
  if (typeof model === 'string') return model;
  const found = await contentDigest(model, codecs);
  if (found === digest) return model;
  await model.close?.();
  return `its values have the digest ${found}, the server's model has ${digest}`;
}

function differenceOf(found: Manifest, wanted: Manifest): string | undefined {
  const own = notedDtypes(wanted);
  const byName = new Map(found.tensors.map((tensor) => [tensor.name, tensor]));
  for (const tensor of wanted.tensors) {
    const other = byName.get(tensor.name);
    if (!other) return `it has no tensor ${tensor.name}`;
    const [mine, theirs] = [`${other.dtype} [${other.shape}]`, `${own(tensor)} [${tensor.shape}]`];
    if (mine !== theirs) return `its ${tensor.name} is ${mine}, the server's model has ${theirs}`;
  }
  return undefined;
}
