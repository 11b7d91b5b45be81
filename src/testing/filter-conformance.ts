// The suite that every filter passes: what `Filter` promises (filter/filter.ts).
import type { CodecTable } from '../codec/codec.js';
import { referenceCodecs } from '../codec/codec-table.js';
import { encodeModel } from '../codec/quantize.js';
import type { Row } from '../core/row.js';
import { applyFilters, FILTER_POINTS, type Filter, type FilterContext, type FilterPoint, filteredManifest } from '../filter/filter.js';
import { asUpdate } from '../filter/update.js';
import { chunkCount } from '../tensor/chunks.js';
import { combine } from '../tensor/combine.js';
import { DTYPES } from '../tensor/dtype.js';
import { type Encoding, RAW, type TensorEntry } from '../tensor/manifest.js';
import { memoryStateDict } from '../tensor/memory-state-dict.js';
import type { StateDict } from '../tensor/state-dict.js';
import { narrowInto } from '../tensor/widen.js';
import { check, equal, type RegisterTest } from './checks.js';
import { checkOptions, madeOf, type Options } from './row-options.js';
import { checkChunks, checkLeft, contentOf, distance, inMemory, same, Watched, weights } from './state-dicts.js';

/** A filter, and what the suite is to know of it. */
export interface FilterUnderTest {
  /** Its row, as a program puts it into its table. */
  readonly row: Row<Filter>;
  /** Options, as a job writes them beside the name. */
  readonly options?: Options;
  /**
   * A raw model that it is applied to, the same bits each time; `seed` tells several of the same
   * tensors apart. By default one with names as a language model has them, of several dtypes.
   */
  model?(seed: number): StateDict;
  /** Tables of codecs other than this package's own. */
  readonly codecs?: CodecTable;
  /** True where the promise of a filter that `bounds` holds for an update; only its author knows. */
  holds?(update: StateDict): boolean | Promise<boolean>;
  /** Tests that do not hold for this filter, by title, with the reason. */
  readonly exceptions?: Readonly<Record<string, string>>;
}

type FilterTest = (subject: FilterUnderTest) => Promise<void>;

/** Registers every test under `Filter <name>: …`; the exceptions are left out. */
export function testFilter(name: string, subject: FilterUnderTest, test: RegisterTest): void {
  for (const [title, run] of Object.entries(TESTS)) {
    if (subject.exceptions?.[title] === undefined) test(`Filter ${name}: ${title}`, () => run(subject));
  }
}

const TESTS: Readonly<Record<string, FilterTest>> = {
  'takes the options that its schema says, and no others': async ({ row, options }) => {
    checkOptions(row, options);
    const { on, makes } = madeOf(row, options);
    check(['model', 'update', 'either'].includes(on), `it works on ${JSON.stringify(on)}`);
    check(makes === undefined || makes !== on, `it says that it makes another subject of ${on}: ${makes}`);
  },

  'reads nothing before chunks are asked for': async (subject) => {
    for (const { given, filtered } of await applied(subject)) {
      filtered.chunks();
      equal(given.model.read + given.reference.read, 0, `chunks that were read when ${given.what} was filtered`);
      equal(given.model.open + given.reference.open, 0, `readings that had begun when ${given.what} was filtered`);
    }
  },

  'says which manifest comes out, and keeps to it, in part too': async (subject) => {
    const { codecs = referenceCodecs } = subject;
    for (const { given, filtered, filter } of await applied(subject)) {
      const expected = filteredManifest(given.model.manifest, [filter]);
      equal(JSON.stringify(filtered.manifest), JSON.stringify(expected), `the manifest of ${given.what}`);
      await checkChunks(filtered, codecs, `${given.what}, filtered`);
    }
  },

  'gives the same bits each time, to several that read at once': async (subject) => {
    const [first, second] = [await applied(subject), await applied(subject)];
    for (const [i, { given, filtered, filter }] of first.entries()) {
      const content = await contentOf(filtered);
      same(await contentOf(filtered), content, `${given.what}, filtered and read again`);
      const { source: model, what } = given;
      same(
        content,
        await contentOf(await filteredBy(filter, { ...given, model })),
        `${what}, filtered, where chunks are lent no longer than they must be`,
      );
      same(await contentOf(second[i]?.filtered as StateDict), content, `${given.what}, filtered by another filter of the row`);
      const [ahead, behind] = [filtered.chunks()[Symbol.asyncIterator](), filtered.chunks()[Symbol.asyncIterator]()];
      const found: Uint8Array[][] = [[], []];
      // The one that is ahead borrows its chunk while the other asks for one.
      for (let next = await ahead.next(); !next.done; next = await ahead.next()) {
        const other = await behind.next();
        found[0]?.push(next.value.bytes.slice());
        found[1]?.push(other.value.bytes.slice());
      }
      await behind.next();
      for (const one of found) same(one, content, `${given.what}, filtered and read twice at once`);
    }
  },

  'filters several models at once': async (subject) => {
    const filter = madeOf(subject.row, subject.options);
    const inputs = [inputsOf(subject, filter, 1), inputsOf(subject, filter, 2)].map((all) => all[0] as Input);
    const expected: Uint8Array[][] = [];
    for (const input of inputs) expected.push(await contentOf(await filteredBy(madeOf(subject.row, subject.options), input)));
    const both = await Promise.all(inputs.map((input) => filteredBy(filter, input)));
    const found = await Promise.all(both.map((one) => contentOf(one)));
    for (const [i, one] of found.entries()) same(one, expected[i] as Uint8Array[], `model ${i} of two`);
  },

  'changes nothing of what it is given, and lets it go when it is closed': async (subject) => {
    for (const { given, filtered } of await applied(subject)) {
      const { model, reference, what } = given;
      await contentOf(filtered);
      await contentOf(filtered);
      checkLeft(model, what);
      checkLeft(reference, 'what was given before');
      equal(model.closed, 0, `how often ${what} was closed while it was read`);
      await filtered.close?.();
      check(model.closed > 0, `${what} is still open, after what was made of it was closed`);
      equal(reference.closed, 0, 'how often what was given before was closed');
    }
  },

  'leaves no reading open where somebody stops in the middle': async (subject) => {
    for (const { given, filtered } of await applied(subject)) {
      for await (const _ of filtered.chunks()) break;
      for await (const { index } of filtered.chunks({ first: 1, end: 4 })) if (index === 2) break;
      checkLeft(given.model, given.what);
      checkLeft(given.reference, 'what was given before');
    }
  },

  'passes on an error of what it reads, and gives the right bits the next time': async (subject) => {
    const error = new Error('the disk is gone');
    for (const { filter, given } of await applied(subject)) {
      const content = await contentOf(await filteredBy(filter, given));
      for (const fails of [0, 2, 4]) {
        let left: number | undefined = fails;
        const onChunk = (): void => {
          if (left === undefined || left-- > 0) return;
          left = undefined;
          throw error;
        };
        const model = new Watched(given.source, onChunk);
        const filtered = await filteredBy(filter, { ...given, model });
        const thrown = await contentOf(filtered).then(
          () => undefined,
          (caught: Error) => caught,
        );
        // A filter may leave out the tensor.
        if (left === undefined)
          check(thrown === error || thrown?.cause === error, `${given.what}: chunk ${fails} could not be read, and what came is ${thrown}`);
        left = undefined;
        same(await contentOf(filtered), content, `${given.what}, read again after an error`);
        checkLeft(model, given.what);
      }
    }
  },

  'counts numbers by name': async (subject) => {
    for (const { given, filtered } of await applied(subject)) {
      await contentOf(filtered);
      for (const [name, amount] of given.counts) {
        check(name.length > 0 && name.length <= 64, `it counts under the name ${JSON.stringify(name)}`);
        check(Number.isFinite(amount), `it counts ${amount} ${name}`);
      }
    }
  },

  'stands at every point where it may': async (subject) => {
    const { on, makes } = madeOf(subject.row, subject.options);
    // A delta has nothing to be against on the way to the sites, and an update is none there.
    const points = FILTER_POINTS.filter((point) => point.startsWith('result') || (on !== 'update' && makes === undefined));
    for (const point of points) {
      for (const { given, filtered } of await applied(subject, point)) {
        const { length } = await contentOf(filtered);
        equal(length, chunkCount(filtered.manifest), `chunks of ${given.what} at ${point}`);
      }
    }
  },

  'keeps its bound where it is applied once more': async (subject) => {
    const filter = madeOf(subject.row, subject.options);
    if (!filter.bounds) return;
    for (const scale of [1, 1e-9, 1e9]) {
      const input = asUpdate(modelOf(subject, 1, scale), subject.codecs ?? referenceCodecs);
      const once = await inMemory(await filteredBy(filter, inputOf(subject, input, 'an update')));
      const twice = await inMemory(await filteredBy(filter, inputOf(subject, once, 'the same, bounded')));
      const off = await distance(once, twice);
      check(
        off <= 1e-6,
        `an update that is bounded already is changed by ${off.toPrecision(3)} of its length; it was ${scale} times a usual one`,
      );
      // A residual of error feedback is added, and the filter applied again.
      const kept = asUpdate(modelOf(subject, 2, scale), subject.codecs ?? referenceCodecs);
      if (JSON.stringify(kept.manifest) !== JSON.stringify(once.manifest)) continue;
      const more = await inMemory(await filteredBy(filter, inputOf(subject, combine(once, kept, 1), 'with what was kept back')));
      for (const [what, update] of Object.entries({ once, twice, 'with what coding has kept back': more }))
        check((await subject.holds?.(update)) !== false, `its promise does not hold: ${scale} times a usual update, bounded ${what}`);
    }
  },
};

interface Input {
  readonly what: string;
  readonly model: Watched;
  readonly source: StateDict;
  readonly reference: Watched;
  readonly codecs: CodecTable;
  readonly point: FilterPoint;
  readonly counts: [name: string, amount: number][];
}

interface Applied {
  readonly given: Input;
  readonly filter: Filter;
  readonly filtered: StateDict;
}

/** A new filter on everything that it may be given: a raw model, and a coded one. */
async function applied(subject: FilterUnderTest, point?: FilterPoint): Promise<Applied[]> {
  const filter = madeOf(subject.row, subject.options);
  const found: Applied[] = [];
  for (const given of inputsOf(subject, filter, 1, point)) found.push({ given, filter, filtered: await filteredBy(filter, given) });
  return found;
}

function filteredBy(
  filter: Filter,
  { model, reference, codecs, point, counts }: Omit<Input, 'model'> & { readonly model: StateDict },
): Promise<StateDict> {
  const count = (name: string, amount: number): void => void counts.push([name, amount]);
  const context: FilterContext = { point, site: 'a', round: 2, codecs, reference, count };
  return applyFilters(model, [filter], context);
}

function inputsOf(subject: FilterUnderTest, { on }: Filter, seed: number, point?: FilterPoint): Input[] {
  const { codecs = referenceCodecs } = subject;
  const raw = modelOf(subject, seed);
  if (on === 'update') return [inputOf(subject, asUpdate(raw, codecs), 'an update', point)];
  return [inputOf(subject, raw, 'a raw model', point), inputOf(subject, encodeModel(raw, someEncoding, codecs), 'a coded model', point)];
}

function inputOf(subject: FilterUnderTest, source: StateDict, what: string, point: FilterPoint = 'result-out'): Input {
  const { codecs = referenceCodecs } = subject;
  return { what, source, model: new Watched(source), reference: new Watched(modelOf(subject, 99)), codecs, point, counts: [] };
}

/** Codes every second tensor. */
function someEncoding({ dtype, shape }: TensorEntry): Encoding {
  if (!DTYPES[dtype].quantizable || shape.length === 0) return RAW;
  return shape.length > 1 ? { codec: 'blockwise8', blockSize: 64 } : { codec: 'bf16' };
}

/** Every block of a codec divides it. */
const CHUNK_ELEMENTS = 16_384;

function modelOf(subject: FilterUnderTest, seed: number, scale = 1): StateDict {
  const floats = (name: string, dtype: 'F32' | 'F16' | 'BF16', shape: readonly number[], shift: number) => {
    const count = shape.reduce((all, side) => all * side, 1);
    // No half is larger than 65,504.
    const size = dtype === 'F16' ? Math.min(scale, 1e5) : scale;
    const data = narrowInto(dtype, weights(100 * seed + shift, count, 0.1 * size), new Uint8Array(4 * count));
    return { name, dtype, shape, data };
  };
  if (subject.model) return subject.model(seed);
  return memoryStateDict(
    [
      floats('model.embed_tokens.weight', 'F32', [20, 1000], 1),
      floats('model.layers.0.self_attn.weight', 'BF16', [50, 17], 2),
      { name: 'model.layers.0.steps', dtype: 'I64', shape: [2], data: BigInt64Array.of(BigInt(seed), -5n) },
      floats('model.layers.0.norm.weight', 'F32', [1500], 3),
      floats('model.layers.1.mlp.weight', 'F16', [30, 31], 4),
      { name: 'model.layers.1.mask', dtype: 'BOOL', shape: [5], data: Uint8Array.of(0, 1, 1, 0, seed & 1) },
      floats('model.layers.1.empty', 'F32', [0, 8], 5),
      floats('model.norm.scale', 'F32', [], 6),
      floats('lm_head.weight', 'F32', [17, 1000], 7),
    ],
    { chunkElements: CHUNK_ELEMENTS },
  );
}
