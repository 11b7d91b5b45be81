// Reads the tensors of a state dict to their places in the trainer's memory, widened to float32.
import { FedStreamError } from '../../core/errors.js';
import { largestChunk } from '../../tensor/chunks.js';
import type { Dtype } from '../../tensor/dtype.js';
import type { TensorEntry } from '../../tensor/manifest.js';
import type { StateDict } from '../../tensor/state-dict.js';
import { widenInto } from '../../tensor/widen.js';
import { HEAD } from './parameters.js';

/** Takes values that were read, to their place. */
export type Put = (to: Float32Array, values: Float32Array, first: number) => void;

/** A tensor that is wanted, and the memory that takes it. */
export interface Place {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** Options of `readTensors`. */
export interface ReadOptions {
  /** The name of the state dict in errors: "the model". */
  readonly what: string;
  readonly put?: Put;
  /** True for tensors that are passed over; others that are not wanted are refused. By default all are. */
  readonly isIgnored?: (name: string) => boolean;
}

const TAKEN: ReadonlySet<Dtype> = new Set<Dtype>(['F32', 'F16', 'BF16']);

const replace: Put = (to, values, first) => to.set(values, first);

/**
 * Reads the wanted tensors, a chunk at a time. Throws `bad-model` before anything is read, which
 * names the first tensor that is missing, does not fit, or is not known.
 */
export async function readTensors(model: StateDict, wanted: ReadonlyMap<string, Place>, options: ReadOptions): Promise<void> {
  const { what, put = replace, isIgnored = () => true } = options;
  const have = new Map(model.manifest.tensors.map((tensor) => [tensor.name, tensor]));
  for (const [name, { shape }] of wanted) {
    const tensor = have.get(name);
    if (!tensor)
      throw new FedStreamError('bad-model', `${what} lacks the tensor ${name} [${shape.join(', ')}]${adviceFor(name, have.keys())}`);
    checkTensor(tensor, shape, what);
  }
  const extra = [...have.keys()].find((name) => !wanted.has(name) && !isIgnored(name));
  if (extra !== undefined)
    throw new FedStreamError(
      'bad-model',
      `${what} has the tensor ${extra}, which this architecture does not know; config.json does not belong to these weights`,
    );
  const values = new Float32Array(largestChunk(model.manifest));
  for await (const { tensor, firstElement, bytes } of model.chunks()) {
    const place = wanted.get(tensor.name);
    if (place) put(place.values, widenInto(tensor.dtype, bytes, values), firstElement);
  }
}

/** What to do about a tensor that is missing, where its place or its name says it. */
function adviceFor(name: string, have: Iterable<string>): string {
  // Names with more or less in front: of a compiled or a wrapped model, or of one without its head.
  for (const other of have)
    if (other.endsWith(`.${name}`) || name.endsWith(`.${other}`))
      return `, and has ${other} in its place; save the model with save_pretrained, which gives its tensors the names of transformers`;
  return name === HEAD ? '; set tie_word_embeddings to true in config.json if the head is the embedding' : '';
}

function checkTensor({ name, dtype, shape, encoding }: TensorEntry, wanted: readonly number[], what: string): void {
  if (!TAKEN.has(dtype) || encoding.codec !== 'raw')
    throw new FedStreamError(
      'bad-model',
      `${what}: ${name} is ${dtype} [${shape.join(', ')}]${encoding.codec === 'raw' ? '' : ` in ${encoding.codec}`}, and the built-in trainer takes F32, F16 and BF16; bring the model in one of these`,
    );
  if (shape.join() !== wanted.join())
    throw new FedStreamError(
      'bad-model',
      `${what}: ${name} is ${dtype} [${shape.join(', ')}], and [${wanted.join(', ')}] is needed; config.json does not belong to these weights`,
    );
}
