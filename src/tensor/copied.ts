// A copy of a state dict in memory.
import { dtypeBytes, elementCount } from './dtype.js';
import { memoryStateDict } from './memory-state-dict.js';
import type { StateDict } from './state-dict.js';

/** Reads a raw state dict whole; the copy does not change when its source does. */
export async function copied(model: StateDict): Promise<StateDict> {
  const { tensors, tied, chunkElements, metadata } = model.manifest;
  const data = tensors.map(({ dtype, shape }) => new Uint8Array(dtypeBytes(dtype, elementCount(shape))));
  for await (const { tensor, tensorIndex, firstElement, bytes } of model.chunks())
    (data[tensorIndex] as Uint8Array).set(bytes, dtypeBytes(tensor.dtype, firstElement));
  const copies = tensors.map(({ name, dtype, shape }, index) => ({ name, dtype, shape, data: data[index] as Uint8Array }));
  return memoryStateDict(copies, { tied, chunkElements, metadata });
}
