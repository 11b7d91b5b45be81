// The suite that every aggregator passes: the promises of `workflow/aggregate/aggregator.ts`.
import { referenceCodecs } from '../codec/codec-table.js';
import { mean } from '../workflow/aggregate/mean.js';
import {
  type AggregatorUnderTest,
  aggregatorOf,
  CHUNK_ELEMENTS,
  COUNTERS,
  FROZEN,
  given,
  type Made,
  neededBy,
  oneRound,
  previousModel,
  SAMPLE,
  SAMPLES,
  type Sample,
  sitesOf,
} from './aggregator-samples.js';
import { check, equal, type RegisterTest, rejects, sameBytes } from './checks.js';
import { checkOptions } from './row-options.js';
import { checkChunks, checkLeft, contentOf, distance, same, tensorsOf } from './state-dicts.js';

type AggregatorTest = (subject: AggregatorUnderTest) => Promise<void>;

/** Registers every test under `Aggregator <name>: …`; the exceptions are left out. */
export function testAggregator(name: string, subject: AggregatorUnderTest, test: RegisterTest): void {
  for (const [title, run] of Object.entries(TESTS)) {
    if (subject.exceptions?.[title] === undefined) test(`Aggregator ${name}: ${title}`, () => run(subject));
  }
}

/** Chunks that may be read ahead of the one that is given. */
const MOST_AHEAD = 16;
/** From 2^23 values on results are added by codec threads. */
const MODEL_VALUES = 2 ** 23 + 12_345;

const TESTS: Readonly<Record<string, AggregatorTest>> = {
  'takes the options that its schema says, and no others': async ({ row, options }) => checkOptions(row, options),

  'gives the tensors of the model until now, in their order': async (subject) => {
    for (const sample of SAMPLES) {
      const { model } = await oneRound(aggregatorOf(subject), given(subject, sample));
      equal(JSON.stringify(model.manifest.tensors), JSON.stringify(previousModel().manifest.tensors), `${sample.kind}: the tensors`);
      equal(model.manifest.chunkElements, CHUNK_ELEMENTS, `${sample.kind}: elements of a chunk`);
      await checkChunks(model, referenceCodecs, `${sample.kind}: the next model`);
      for (const [name, bytes] of await tensorsOf(model)) {
        if (COUNTERS.includes(name)) continue;
        const values = new Float32Array(bytes.buffer);
        check(values.every(Number.isFinite), `${sample.kind}: ${name} has a value that is no number`);
      }
    }
  },

  'a tensor that no result has stays as it was': async (subject) => {
    for (const sample of SAMPLES) {
      const { model } = await oneRound(aggregatorOf(subject), given(subject, sample));
      const [before, after] = [await tensorsOf(previousModel()), await tensorsOf(model)];
      check(sameBytes(after.get(FROZEN) as Uint8Array, before.get(FROZEN) as Uint8Array), `${sample.kind}: ${FROZEN} was changed`);
    }
  },

  'the order of results does not show, nor who aggregates': async (subject) => {
    for (const sample of SAMPLES) {
      const first = await oneRound(aggregatorOf(subject), given(subject, sample));
      const names = sitesOf(subject).map((_, i) => i);
      for (const order of [[...names].reverse(), [...names.slice(1), 0], names]) {
        const made = await oneRound(aggregatorOf(subject), given(subject, sample), { order });
        await sameRound(made, first, `${sample.kind} in the order ${order.join()}`);
      }
    }
  },

  'reads nothing before its model is read, but for what it keeps': async (subject) => {
    for (const sample of SAMPLES) {
      let keeping = false;
      let returned = false;
      const early: string[] = [];
      const onChunk = (what: string): void => void (keeping || returned || early.push(what));
      await oneRound(aggregatorOf(subject), given(subject, sample, { onChunk }), {
        onKeep: (begins) => {
          keeping = begins;
        },
        onReturn: () => {
          returned = true;
        },
      });
      equal(early[0], undefined, `${sample.kind}: what was read too early (${early.length} chunks)`);
    }
  },

  'reads chunk by chunk, and holds no model': async (subject) => {
    for (const sample of SAMPLES) {
      /**
       * By state dict and tensor, where its last chunks began; since the model, or what is kept,
       * began to be written.
       */
      let last = new Map<string, number[]>();
      const anew = (): void => {
        last = new Map();
      };
      const round = given(subject, sample, {
        onChunk: (what, { tensor, firstElement }) => {
          const key = `${what} ${tensor.name}`;
          last.set(key, [...(last.get(key) ?? []), firstElement].slice(-MOST_AHEAD));
        },
      });
      await oneRound(aggregatorOf(subject), round, {
        onKeep: anew,
        onReturn: anew,
        onWritten: ({ tensor, firstElement }) => {
          const along = [...round.all.keys()].filter((what) => last.get(`${what} ${tensor.name}`)?.includes(firstElement));
          // An aggregator that looks through all results first reads those again that it has chosen.
          if (subject.chooses && along.length > 0) return;
          for (const what of round.all.keys()) {
            const found = last.get(`${what} ${tensor.name}`);
            check(
              found === undefined || along.includes(what),
              `${sample.kind}: ${tensor.name} is given from element ${firstElement}, while ${what} has been read to element ${found?.at(-1)}: somebody holds what lies between`,
            );
          }
        },
      });
    }
  },

  'changes nothing of what it is given, and leaves it open': async (subject) => {
    for (const sample of SAMPLES) {
      const round = given(subject, sample);
      const { model } = await oneRound(aggregatorOf(subject), round);
      for await (const _ of model.chunks()) break;
      for (const [what, state] of round.all) {
        checkLeft(state, what);
        equal(state.closed, 0, `how often ${what} was closed`);
      }
    }
  },

  'takes one result alone, or the fewest that it says it needs': async (subject) => {
    for (const sample of SAMPLES) {
      const fewer = sitesOf(subject).map((_, i) => i);
      fewer.length = neededBy(subject) - 1;
      const tooFew = async () => oneRound(aggregatorOf(subject), given(subject, sample), { order: fewer });
      if (fewer.length > 0) await rejects(tooFew(), ['quorum'], `${sample.kind}: ${fewer.length} results, where it needs more`);
      const [made, again] = [await alone(subject, sample), await alone(subject, sample)];
      await sameRound(again, made, `${sample.kind}, aggregated again`);
      const off = await distance(previousModel(), made.model);
      check(off > 0, `${sample.kind}: the only result there is changes nothing`);
    }
  },

  'weighs a site by its samples, as it says': async (subject) => {
    const { weighted = true } = subject;
    for (const sample of SAMPLES) {
      const of = async (...samples: number[]) => (await oneRound(aggregatorOf(subject), given(subject, { ...sample, samples }))).model;
      const [alike, heavy, doubled] = [await of(1, 1, 1), await of(1e6, 1, 1), await of(2, 2, 2)];
      // Where one result is not enough, nearly all of the weight still makes the model that one's.
      const { model: only } = await (neededBy(subject) === 1
        ? alone(subject, sample)
        : oneRound(mean, given(subject, sample), { order: [0] }));
      if (!weighted) same(await contentOf(heavy), await contentOf(alike), `${sample.kind} with other numbers of samples`);
      else {
        const [near, far] = [await distance(only, heavy), await distance(only, alike)];
        check(
          near < 0.01 * far,
          `${sample.kind}: a site with nearly all samples counts for no more than the others (${near} against ${far})`,
        );
      }
      same(await contentOf(doubled), await contentOf(alike), `${sample.kind} with twice as many samples everywhere`);
    }
  },

  'sites that change nothing leave the model as it is': async (subject) => {
    if (subject.still === false) return;
    for (const sample of SAMPLES) {
      const still = { ...sample, step: 0, codings: ['fp32', 'fp32', 'fp32'] };
      const off = await distance(previousModel(), (await oneRound(aggregatorOf(subject), given(subject, still))).model);
      check(off < 1e-6, `${sample.kind}: the model is changed by ${off} of its length`);
    }
  },

  'combines tensors that cannot be averaged as the job says': async (subject) => {
    for (const sample of SAMPLES) {
      const after = async (counted: Sample['counted'], integers: 'refuse' | 'previous' | 'largest') => {
        const { model } = await oneRound(aggregatorOf(subject), given(subject, { ...sample, counted }), { integers });
        return tensorsOf(model);
      };
      const before = await tensorsOf(previousModel());
      const refused = await rejects(after('differently', 'refuse'), ['refused'], `${sample.kind}: counters that differ`);
      check(
        COUNTERS.some((name) => refused.message.includes(name)),
        `${sample.kind}: no tensor is named: ${refused.message}`,
      );
      const found = {
        alike: await after('alike', 'refuse'),
        kept: await after('differently', 'previous'),
        most: await after('differently', 'largest'),
      };
      for (const name of COUNTERS) {
        const [first, ...rest] = before.get(name) as Uint8Array;
        const values = { alike: 1, kept: 0, most: sitesOf(subject).length };
        for (const [what, more] of Object.entries(values)) {
          const expected = Uint8Array.of((first as number) + more, ...rest);
          const actual = found[what as keyof typeof values].get(name) as Uint8Array;
          check(
            sameBytes(actual, expected),
            `${sample.kind}: ${name} by the rule for "${what}" is ${[...actual]}, expected ${[...expected]}`,
          );
        }
      }
    }
  },

  'what it keeps comes back, and a second round has the same bits whoever goes on': async (subject) => {
    for (const sample of SAMPLES) {
      const [begins, goesOn] = [aggregatorOf(subject), aggregatorOf(subject)];
      const first = await oneRound(begins, given(subject, sample));
      const second = (aggregator: typeof begins) => oneRound(aggregator, given(subject, { ...sample, round: 2 }), { state: first.kept });
      const made = await second(begins);
      await sameRound(await second(begins), made, `${sample.kind}: a round that was cut off, begun again`);
      await sameRound(await second(goesOn), made, `${sample.kind}: a second round in another process`);
      const third = await oneRound(goesOn, given(subject, { ...sample, round: 3 }), { state: { ...first.kept, ...made.kept } });
      for (const dict of Object.values(third.kept)) await checkChunks(dict, referenceCodecs, `${sample.kind}: what is kept`);
      if (Object.keys(first.kept).length === 0) continue;
      const forgets = await oneRound(aggregatorOf(subject), given(subject, { ...sample, round: 2 }));
      const off = await distance(made.model, forgets.model);
      check(off > 0, `${sample.kind}: it keeps ${Object.keys(first.kept).join()}, and makes nothing of it`);
    }
  },

  'codecs on other kernels and threads give the same bits': async (subject) => {
    const { codecs, modelValues: values = MODEL_VALUES } = subject;
    if (!codecs) return;
    const shape = { values, chunkElements: 262_144 };
    const made = await oneRound(aggregatorOf(subject), given(subject, SAMPLE, { shape, codecs }));
    const other = await oneRound(aggregatorOf(subject), given(subject, SAMPLE, { shape, codecs }), { codecs });
    await sameRound(other, made, 'with the other codecs');
  },
};

function alone(subject: AggregatorUnderTest, sample: Sample): Promise<Made> {
  const order = Array.from({ length: neededBy(subject) }, (_, i) => i);
  return oneRound(aggregatorOf(subject), given(subject, sample), { order });
}

async function sameRound(made: Made, expected: Made, what: string): Promise<void> {
  same(made.content, expected.content, `${what}: the next model`);
  equal(Object.keys(made.kept).sort().join(), Object.keys(expected.kept).sort().join(), `${what}: what is kept`);
  for (const [name, dict] of Object.entries(made.kept))
    same(await contentOf(dict), await contentOf(expected.kept[name] as typeof dict), `${what}: ${name}, which is kept`);
}
