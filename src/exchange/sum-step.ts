// A step of an optimizer with each chunk of a sum as its update: reads the model and the moments
// beside the addends, and hands on what the step makes of them.
import type { EncodeReport, WeightedChunk } from '../codec/codec.js';
import type { OptimizerRule, OptimizerStep } from '../codec/optimizer-step.js';
import { FedStreamError } from '../core/errors.js';
import { RAW, type TensorEntry } from '../tensor/manifest.js';
import type { Chunk, ChunkRange, StateDict } from '../tensor/state-dict.js';
import { narrowInto, widenInto } from '../tensor/widen.js';
import type { Slot } from './sum-slots.js';

/** A moment before the step: a state dict, or a value that all of it has. */
export type Moment = StateDict | number;

/** The step that is made with a sum. All state dicts are raw and have the tensors of the sum. */
export interface SumStep {
  readonly rule: OptimizerRule;
  readonly model: StateDict;
  /** True where weights are added up: the update is their sum less the model. */
  readonly subtract: boolean;
  /** The moments of the rule, in the order of `momentsOf`. */
  readonly moments: readonly Moment[];
}

/** A chunk of the next model and, beside it, of the next moments. */
export interface Stepped {
  readonly chunk: Chunk;
  readonly report: EncodeReport;
  /** Float32; valid as long as the chunk. */
  readonly moments: readonly Uint8Array[];
}

/** The readers of one step over a range of chunks. */
export class Stepper {
  /** Float32 buffers of a chunk that a step needs. */
  readonly buffers: number;
  readonly #step: SumStep;
  readonly #model: AsyncIterator<Chunk>;
  readonly #moments: readonly (AsyncIterator<Chunk> | number)[];

  constructor(step: SumStep, range?: ChunkRange) {
    this.#step = step;
    this.#model = step.model.chunks(range)[Symbol.asyncIterator]();
    this.#moments = step.moments.map((moment) => (typeof moment === 'number' ? moment : moment.chunks(range)[Symbol.asyncIterator]()));
    this.buffers = 1 + step.moments.length;
  }

  /** Reads what the step needs of the chunk into the slot. */
  async read({ index, elements }: Chunk, slot: Slot): Promise<OptimizerStep> {
    const [model, ...moments] = slot.step.map((buffer) => buffer.subarray(0, elements)) as [Float32Array, ...Float32Array[]];
    await fill(this.#model, index, model);
    for (const [i, moment] of this.#moments.entries()) {
      const into = moments[i] as Float32Array;
      if (typeof moment === 'number') into.fill(moment);
      else await fill(moment, index, into);
    }
    return { rule: this.#step.rule, model, moments };
  }

  /** What is to be added to the sum before the step. */
  added({ model }: OptimizerStep): WeightedChunk[] {
    return this.#step.subtract ? [{ dtype: 'F32', bytes: bytesOf(model), weight: -1 }] : [];
  }

  /** The chunk of the next model, in its own dtype. */
  stepped({ model, moments }: OptimizerStep, chunk: Chunk, slot: Slot, report: EncodeReport): Stepped {
    const tensor: TensorEntry = { ...(this.#step.model.manifest.tensors[chunk.tensorIndex] as TensorEntry), encoding: RAW };
    const bytes = tensor.dtype === 'F32' ? bytesOf(model) : narrowInto(tensor.dtype, model, slot.sumBytes);
    return { chunk: { ...chunk, tensor, bytes }, report, moments: moments.map(bytesOf) };
  }

  async close(): Promise<void> {
    for (const reader of [this.#model, ...this.#moments]) if (typeof reader !== 'number') await reader.return?.();
  }
}

async function fill(reader: AsyncIterator<Chunk>, index: number, into: Float32Array): Promise<void> {
  const { done, value } = await reader.next();
  if (done || value.index !== index) throw new FedStreamError('internal', 'the model, or a moment of it, has other chunks than its update');
  widenInto(value.tensor.dtype, value.bytes, into);
}

function bytesOf(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
