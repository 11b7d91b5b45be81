// Tensors that a job keeps frozen: a program that has changed one is refused before its result leaves.
import type { CodecTable } from '../codec/codec.js';
import { inFloat32 } from '../codec/float32.js';
import { decodeModel } from '../codec/quantize.js';
import { FedStreamError } from '../core/errors.js';
import { tensorRange } from '../tensor/chunks.js';
import { selectTensors } from '../tensor/select-tensors.js';
import type { Chunk, StateDict } from '../tensor/state-dict.js';

/**
 * Compares the frozen tensors of a result with those that were given. Throws `trainer`, naming the
 * first one that differs.
 */
export async function checkFrozen(
  trained: StateDict,
  given: StateDict,
  isFrozen: (name: string) => boolean,
  codecs: CodecTable,
): Promise<void> {
  const frozen = (model: StateDict): StateDict => decodeModel(inFloat32(selectTensors(model, ({ name }) => isFrozen(name))), codecs);
  const [found, wanted] = [frozen(trained), frozen(given)];
  for (const [index, { name }] of wanted.manifest.tensors.entries()) {
    const others = found.chunks(tensorRange(found.manifest, index))[Symbol.asyncIterator]();
    try {
      for await (const { bytes } of wanted.chunks(tensorRange(wanted.manifest, index))) {
        const next = await others.next();
        if (next.done || !sameBytes(bytes, (next.value as Chunk).bytes)) throw changed(name);
      }
    } finally {
      await others.return?.();
    }
  }
}

function changed(name: string): FedStreamError {
  return new FedStreamError(
    'trainer',
    `the trainer has changed ${name}, which the job keeps frozen (lora "ffa"): leave A out of the training, requires_grad_(False), or run the job with lora "factors"`,
  );
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
