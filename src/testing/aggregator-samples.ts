// Results of sites for an aggregator under test, and a run's store for what it keeps.
import type { CodecTable } from '../codec/codec.js';
import { parseCodecName } from '../codec/codec-name.js';
import { referenceCodecs } from '../codec/codec-table.js';
import { encodeModel } from '../codec/quantize.js';
import type { Row } from '../core/row.js';
import { chunkPlaces } from '../tensor/chunks.js';
import { DTYPES, dtypeBytes, elementCount } from '../tensor/dtype.js';
import { EXTRA_NAME } from '../tensor/extra-names.js';
import type { Manifest } from '../tensor/manifest.js';
import { type MemoryTensor, memoryStateDict } from '../tensor/memory-state-dict.js';
import type { NamedDicts } from '../tensor/named-dicts.js';
import { selectTensors } from '../tensor/select-tensors.js';
import type { Chunk, ChunkRange, StateDict } from '../tensor/state-dict.js';
import type { Aggregator, AggregatorInput, Contribution, Together } from '../workflow/aggregate/aggregator.js';
import { check, equal } from './checks.js';
import { madeOf, type Options } from './row-options.js';
import { contentOf, inMemory, joined, same, Watched, weights } from './state-dicts.js';

/** An aggregator, and what the suite is to know of it. */
export interface AggregatorUnderTest {
  /** Its row, as a program puts it into its table. */
  readonly row: Row<Aggregator>;
  /** Options, as a job writes them beside the name. */
  readonly options?: Options;
  /** A site with more samples counts for more. True by default. */
  readonly weighted?: boolean;
  /** Sites that change nothing leave the model as it is. True by default; not where noise is added. */
  readonly still?: boolean;
  /** It reads all results through, and then some of them again. False by default. */
  readonly chooses?: boolean;
  /** Extras that come with each site's result, where it needs some; the same bits each time. */
  extras?(site: string): NamedDicts;
  /** Codecs on other kernels or threads, which must give the same bits as this package's own do. */
  readonly codecs?: CodecTable;
  /**
   * Values of the models that are tried with `codecs`; by default just more than 2^23, from where
   * on threads add.
   */
  readonly modelValues?: number;
  /** Tests that do not hold for this aggregator, by title, with the reason. */
  readonly exceptions?: Readonly<Record<string, string>>;
}

/** Sites of a round; an aggregator that needs more results has more. */
const LEAST_SITES = 3;
/** Names of sites, in order. */
const NAMES = 'abcdefghijklmnopqrstuvwxyz';
export const CHUNK_ELEMENTS = 512;
/** Rounds of the job. */
const ROUNDS = 3;
/** More chunks than anybody needs to read ahead. */
const CHUNKS = 24;

/** A tensor that no result has: a filter has left it out. */
export const FROZEN = 'frozen.weight';
/** Tensors that cannot be averaged. */
export const COUNTERS = ['steps', 'mask'];

/** Results of the sites, in figures. */
export interface Sample {
  readonly kind: 'updates' | 'weights';
  readonly round: number;
  /** As `codings`. */
  readonly samples: readonly number[];
  /** The codec of each site's result; the first ones again where there are more sites. */
  readonly codings: readonly string[];
  /** The size of what the sites change. */
  readonly step: number;
  /** The sites' counters: those that they were given, others that all have, or others at each site. */
  readonly counted: 'not' | 'alike' | 'differently';
}

export const SAMPLE: Sample = {
  kind: 'updates',
  round: 1,
  samples: [10, 20, 5],
  codings: ['fp32', 'nf4', 'u4'],
  step: 0.01,
  counted: 'not',
};

/** The kinds of results that a server has: updates that are coded, and whole weights. */
export const SAMPLES: readonly Sample[] = [SAMPLE, { ...SAMPLE, kind: 'weights', codings: ['fp32', 'fp32', 'bf16'] }];

interface Shape {
  readonly chunkElements: number;
  readonly values: number;
}

const SMALL: Shape = { chunkElements: CHUNK_ELEMENTS, values: CHUNKS * CHUNK_ELEMENTS - 5 };

/** The global model: float32, and counters. */
export function previousModel({ values, chunkElements }: Shape = SMALL): StateDict {
  const float = (name: string, seed: number, ...shape: number[]): MemoryTensor => {
    const count = shape.reduce((all, side) => all * side, 1);
    return { name, dtype: 'F32', shape, data: weights(seed, count) };
  };
  return memoryStateDict(
    [
      float('layers.0.weight', 1, values),
      { name: 'steps', dtype: 'I64', shape: [2], data: BigInt64Array.of(5n, -1n) },
      float(FROZEN, 2, 3, 300),
      float('layers.1.weight', 3, 30, 40),
      float('empty', 4, 0),
      { name: 'mask', dtype: 'U8', shape: [3], data: Uint8Array.of(0, 1, 0) },
      float('norm.weight', 5, 77),
      float('scale', 6),
    ],
    { chunkElements },
  );
}

/** One round's results, in the order of the sites' names. Every state dict is watched. */
export interface Given {
  readonly round: number;
  readonly results: readonly (Contribution & { readonly model: Watched })[];
  readonly previous: Watched;
  readonly base: Watched;
  /** Every state dict that was given, with a name for people. */
  readonly all: ReadonlyMap<string, Watched>;
}

/** `onChunk` hears of every chunk that is read, and of whom. */
export function given(
  subject: AggregatorUnderTest,
  sample: Sample,
  { codecs = referenceCodecs, shape = SMALL, onChunk = (_: string, __: Chunk): void => {} } = {},
): Given {
  const model = previousModel(shape);
  const watched = new Map<string, Watched>();
  const watch = (what: string, of: StateDict): Watched => {
    const found = new Watched(of, (chunk) => onChunk(what, chunk));
    watched.set(what, found);
    return found;
  };
  const previous = watch('the model until now', model);
  const base = watch('the base', model);
  const shared = selectTensors(model, ({ name }) => name !== FROZEN);
  const results: Given['results'][number][] = [];
  for (const [i, site] of sitesOf(subject).entries()) {
    const raw = siteResult(shared, i, sample);
    const encoding = parseCodecName(sample.codings[i % sample.codings.length] as string, codecs);
    const coded = encodeModel(raw, ({ dtype }) => (DTYPES[dtype].quantizable ? encoding : { codec: 'raw' }), codecs);
    const isUpdate = sample.kind === 'updates';
    const extras = subject.extras?.(site);
    const samples = sample.samples[i % sample.samples.length] as number;
    results.push({
      site,
      samples,
      isUpdate,
      model: watch(`the result of ${site}`, coded),
      ...(isUpdate && { base }),
      ...(extras && { extras }),
    });
  }
  return { round: sample.round, results, previous, base, all: watched };
}

/** A site's result, raw: the tensors of `like`, as an update or as weights; made while it is read. */
function siteResult(like: StateDict, site: number, { kind, round, step, counted }: Sample): StateDict {
  async function* chunks(range?: ChunkRange): AsyncGenerator<Chunk> {
    for await (const chunk of like.chunks(range)) {
      const bytes = chunk.bytes.slice();
      if (DTYPES[chunk.tensor.dtype].quantizable) {
        const values = new Float32Array(bytes.buffer);
        const change = weights(1000 * round + 100 * site + chunk.index, values.length, step);
        for (let i = 0; i < values.length; i++) values[i] = (kind === 'updates' ? 0 : (values[i] as number)) + (change[i] as number);
      } else if (counted !== 'not') bytes[0] = (bytes[0] as number) + 1 + (counted === 'alike' ? 0 : site);
      yield { ...chunk, bytes };
    }
  }
  return { manifest: like.manifest, chunks };
}

/** The outcome of a round. */
export interface Made {
  readonly model: StateDict;
  readonly content: Uint8Array[];
  /** State dicts that are kept for the next round, by name. */
  readonly kept: Readonly<Record<string, StateDict>>;
}

export interface RoundOptions {
  readonly state?: NamedDicts;
  readonly codecs?: CodecTable;
  readonly integers?: AggregatorInput['integers'];
  /** In which order the results are given; by default that of names. */
  readonly order?: readonly number[];
  /** Called before and after what is kept is written. */
  onKeep?(begins: boolean): void;
  /** Called when the aggregator has returned its model, before that is read. */
  onReturn?(): void;
  /** Called with each chunk of what is written: of the model, or of what is kept. */
  onWritten?(chunk: Chunk): void;
}

/** One round, as a run has it: what is kept is written and read again, then the model is. */
export async function oneRound(aggregator: Aggregator, { round, results, previous }: Given, options: RoundOptions = {}): Promise<Made> {
  const { state = {}, codecs = referenceCodecs, integers = 'refuse', order = results.map((_, i) => i), onWritten } = options;
  const kept: Record<string, StateDict> = {};
  const keep = async (name: string, dict: StateDict): Promise<StateDict> => {
    check(EXTRA_NAME.test(`aggregator.${name}`), `${JSON.stringify(name)} cannot name what is kept`);
    check(kept[name] === undefined, `${name} is kept twice in a round`);
    check(
      dict.manifest.tensors.every(({ encoding }) => encoding.codec === 'raw'),
      `${name} is kept coded`,
    );
    options.onKeep?.(true);
    kept[name] = await inMemory(onWritten ? heard(dict, onWritten) : dict);
    options.onKeep?.(false);
    return kept[name];
  };
  const ordered = order.map((index) => results[index] as Contribution);
  const model = await aggregator({ results: ordered, previous, state, codecs, integers, round, rounds: ROUNDS, keep });
  options.onReturn?.();
  const read = onWritten ? heard(model, onWritten) : model;
  if (!model.together) return { model, content: await contentOf(read), kept };
  const content = await contentTogether(model, model.together, kept, onWritten);
  same(await contentOf(read), content, 'the model, read alone');
  return { model, content, kept };
}

/** Reads a model and what is kept beside it in one go, as a run does. */
async function contentTogether(
  { manifest }: StateDict,
  { manifests, chunks }: Together,
  kept: Record<string, StateDict>,
  onWritten: RoundOptions['onWritten'],
): Promise<Uint8Array[]> {
  const content: Uint8Array[] = [];
  const places = chunkPlaces(manifest);
  const beside = new Map(Object.keys(manifests).map((name): [string, Uint8Array[]] => [name, []]));
  for await (const made of chunks()) {
    if ('chunk' in made) {
      equal(made.chunk.index, places.next().value?.index, 'the place of a chunk of the model, read together with what is kept');
      onWritten?.(made.chunk);
      content.push(made.chunk.bytes.slice());
    } else {
      check(beside.has(made.name), `${made.name} is kept, and has no manifest`);
      beside.get(made.name)?.push(made.bytes.slice());
    }
  }
  for (const [name, manifest] of Object.entries(manifests)) {
    check(EXTRA_NAME.test(`aggregator.${name}`), `${JSON.stringify(name)} cannot name what is kept`);
    check(kept[name] === undefined, `${name} is kept twice in a round`);
    kept[name] = cut(manifest, beside.get(name) as Uint8Array[], name);
  }
  return content;
}

/** A raw state dict in memory, of the bytes of all of its tensors. */
function cut(manifest: Manifest, parts: readonly Uint8Array[], what: string): StateDict {
  const bytes = joined(parts);
  let at = 0;
  const tensors = manifest.tensors.map(({ name, dtype, shape, encoding }): MemoryTensor => {
    check(encoding.codec === 'raw', `${what} is kept coded`);
    const begin = at;
    at += dtypeBytes(dtype, elementCount(shape));
    return { name, dtype, shape, data: bytes.slice(begin, at) };
  });
  equal(bytes.length, at, `bytes of ${what}, which is kept`);
  return memoryStateDict(tensors, { chunkElements: manifest.chunkElements });
}

function heard(state: StateDict, onChunk: (chunk: Chunk) => void): StateDict {
  return new Watched(state, onChunk);
}

/** The results that the aggregator needs. */
export function neededBy(subject: AggregatorUnderTest): number {
  return aggregatorOf(subject).needs?.results ?? 1;
}

/** The sites of a round: as many as the aggregator needs, and three at least. */
export function sitesOf(subject: AggregatorUnderTest): string[] {
  return [...NAMES.slice(0, Math.max(LEAST_SITES, neededBy(subject)))];
}

/** A new aggregator of the row. */
export function aggregatorOf({ row, options }: AggregatorUnderTest): Aggregator {
  return madeOf(row, options);
}
