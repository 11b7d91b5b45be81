// The plan of an optimizer's step over a round's results: which tensors move, what is read for
// them, and what is kept.
import type { OptimizerRule } from '../../codec/optimizer-step.js';
import { poolFor } from '../../codec/quantize.js';
import { FedStreamError } from '../../core/errors.js';
import type { SumOptions } from '../../exchange/sum-chunks.js';
import type { Moment } from '../../exchange/sum-step.js';
import { tensorRange } from '../../tensor/chunks.js';
import { DTYPES } from '../../tensor/dtype.js';
import { gatheredChunks } from '../../tensor/gathered-chunks.js';
import { type Manifest, RAW, type TensorEntry } from '../../tensor/manifest.js';
import type { ChunkRange, StateDict } from '../../tensor/state-dict.js';
import { filledLike } from '../../tensor/zeros.js';
import type { AggregatorInput, Contribution } from './aggregator.js';
import { inOrder, sampleWeights } from './mean.js';

/** A moment of an optimizer: its name among what is kept, and the value that it begins with. */
export interface MomentName {
  readonly name: string;
  readonly begin: number;
}

/** Tensors of the model that follow one another, and all move or all do not; with their chunks. */
export interface Run extends ChunkRange {
  readonly moves: boolean;
  readonly tensors: ChunkRange;
  /** The position of the first of them among all that move. */
  readonly firstMoved: number;
  /** The position of a chunk among those that move, less its position in the model. */
  readonly shift: number;
}

/** What a step reads and keeps. */
export interface StepPlan {
  /** The step over the tensors that move, in the order of the model. */
  readonly sum: SumOptions;
  readonly runs: readonly Run[];
  readonly kept: readonly MomentName[];
  /** The manifests of the moments after the step: of all tensors that ever moved. */
  readonly manifests: Readonly<Record<string, Manifest>>;
}

/**
 * Plans the step. Throws `quorum` without a result, and `bad-model` where results differ, or where a
 * moment that was kept has another shape than its tensor.
 */
export function stepPlan(input: AggregatorInput, rule: OptimizerRule, kept: readonly MomentName[]): StepPlan {
  const { results, previous, state, codecs } = input;
  const ordered = inOrder(results);
  const first = ordered[0] as Contribution;
  const weights = sampleWeights(ordered);
  const found = new Set(first.model.manifest.tensors.filter(({ dtype }) => DTYPES[dtype].quantizable).map(({ name }) => name));
  const moving = previous.manifest.tensors.filter(({ name }) => found.has(name));
  const model = arranged(previous, moving);
  const sum: SumOptions = {
    addends: ordered.map((result, i) => ({ model: arranged(result.model, moving), weight: weights[i] as number })),
    base: first.isUpdate || !first.base ? undefined : arranged(first.base, moving),
    codecs,
    pool: poolFor(model, codecs),
    what: 'the step of the optimizer',
    step: { rule, model, subtract: !first.isUpdate, moments: kept.map((moment) => before(moment, model.manifest, state[moment.name])) },
  };
  const manifests: Record<string, Manifest> = {};
  for (const { name } of kept) {
    const older = new Set(state[name]?.manifest.tensors.map((tensor) => tensor.name));
    manifests[name] = filledLike(
      part(previous.manifest, (tensor) => found.has(tensor.name) || older.has(tensor.name)),
      0,
    ).manifest;
  }
  return { sum, runs: runs(previous.manifest, model.manifest, found), kept, manifests };
}

/** Some of a model's tensors in the order that is wanted; nothing is copied. */
function arranged(model: StateDict, wanted: readonly TensorEntry[]): StateDict {
  const places = new Map(model.manifest.tensors.map(({ name }, index) => [name, index]));
  const homes = wanted.map(({ name }) => ({ model, index: places.get(name) as number }));
  const tensors = homes.map(({ index }) => model.manifest.tensors[index] as TensorEntry);
  const manifest = { ...model.manifest, tensors, tied: {} };
  return { manifest, chunks: (range) => gatheredChunks(manifest, homes, range) };
}

/** A moment before the step: what was kept of it, and its constant for tensors that are new. */
function before({ name, begin }: MomentName, manifest: Manifest, older: StateDict | undefined): Moment {
  if (!older) return begin;
  const begun = filledLike(manifest, begin);
  const places = new Map(older.manifest.tensors.map((tensor, index) => [tensor.name, index]));
  const homes = manifest.tensors.map((tensor, index) => {
    const at = places.get(tensor.name);
    if (at === undefined) return { model: begun, index };
    requireShape(older.manifest.tensors[at] as TensorEntry, tensor, name);
    return { model: older, index: at };
  });
  return { manifest: begun.manifest, chunks: (range) => gatheredChunks(begun.manifest, homes, range) };
}

function requireShape(found: TensorEntry, { name, shape }: TensorEntry, what: string): void {
  if (found.dtype === 'F32' && found.encoding.codec === RAW.codec && String(found.shape) === String(shape)) return;
  const is = `${found.dtype} [${found.shape.join(', ')}]`;
  throw new FedStreamError(
    'bad-model',
    `${what} of tensor ${name} is ${is}, and the tensor is [${shape.join(', ')}]; the state belongs to another model`,
  );
}

function part(manifest: Manifest, keep: (tensor: TensorEntry) => boolean): Manifest {
  return { ...manifest, tensors: manifest.tensors.filter(keep) };
}

function runs(manifest: Manifest, moving: Manifest, names: ReadonlySet<string>): Run[] {
  const { tensors } = manifest;
  const moves = (index: number): boolean => names.has((tensors[index] as TensorEntry).name);
  const found: Run[] = [];
  let moved = 0;
  for (let begin = 0; begin < tensors.length; ) {
    let end = begin + 1;
    while (end < tensors.length && moves(end) === moves(begin)) end++;
    const { first } = tensorRange(manifest, begin);
    const shift = moves(begin) ? tensorRange(moving, moved).first - first : 0;
    found.push({
      moves: moves(begin),
      tensors: { first: begin, end },
      first,
      end: tensorRange(manifest, end - 1).end,
      firstMoved: moved,
      shift,
    });
    if (moves(begin)) moved += end - begin;
    begin = end;
  }
  return found;
}
