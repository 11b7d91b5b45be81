// The shape of the model that a benchmark moves: a known one, whole or scaled.
import { FedStreamError } from '../../core/errors.js';
import { dtypeBytes, elementCount } from '../../tensor/dtype.js';
import type { Manifest } from '../../tensor/manifest.js';
import { SHAPES } from './llama-shapes.js';

/**
 * The manifest of a shape, by name; `scale` 0.25 keeps a quarter of the rows of every tensor.
 * Throws `bad-argument` for an unknown name.
 */
export function modelShape(name: string, scale = 1): Manifest {
  const make = Object.hasOwn(SHAPES, name) ? SHAPES[name] : undefined;
  if (!make)
    throw new FedStreamError('bad-argument', `there is no shape ${JSON.stringify(name)}; the shapes are ${Object.keys(SHAPES).join(', ')}`);
  const manifest = make();
  if (scale === 1) return manifest;
  const tensors = manifest.tensors.map((tensor) => {
    const [rows = 1, ...rest] = tensor.shape;
    return { ...tensor, shape: [Math.max(1, Math.round(rows * scale)), ...rest] };
  });
  return { ...manifest, tensors };
}

/** Bytes of all tensors in their own dtypes. */
export function modelBytes({ tensors }: Manifest): number {
  return tensors.reduce((bytes, { dtype, shape }) => bytes + dtypeBytes(dtype, elementCount(shape)), 0);
}
