// An insider that wants the average for itself: claims, huge values, values that are no numbers.
// Each time the average stays within a stated distance of the honest one, or the site is refused
// by name and the others' bits are those of a round without it.
import { describe, expect, test } from 'vitest';
import { BUDGETS } from '../../src/core/budgets.js';
import { FedStreamError } from '../../src/core/errors.js';
import { memoryFolder } from '../../src/core/memory-folder.js';
import type { ResultFigures } from '../../src/exchange/task.js';
import type { JobInput } from '../../src/job/job.js';
import type { EventBody } from '../../src/record/events.js';
import type { ServerLink, WriteResult } from '../../src/site/server-link.js';
import { memoryStateDict } from '../../src/tensor/memory-state-dict.js';
import { joinDicts, splitDicts } from '../../src/tensor/named-dicts.js';
import type { StateDict } from '../../src/tensor/state-dict.js';
import { bitsOf, federate, modelOf, type ScriptedSite, type Values } from '../federation/scripted.js';

/** The most samples that a result may name. */
const HUGE = BUDGETS.samples.limit;
const STEP = 0.01;

type Change = (value: number, i: number) => number;

function learning(change: Change, samples = 100): ScriptedSite {
  return {
    samples,
    learn: (given) => Object.fromEntries(Object.entries(given).map(([name, data]) => [name, data.map(change)])) as Values,
  };
}

const honest: Change = (value, i) => value + STEP * Math.sin(i);

function sites(mallory: ScriptedSite): Record<string, ScriptedSite> {
  return { a: learning(honest), b: learning(honest), mallory };
}

/** A site that says that it failed: the others' round without it. */
const absent: ScriptedSite = {
  learn: () => {
    throw new Error('out of memory');
  },
};

/** A site that learns honestly and sends something else. */
function sending(
  replace: (message: StateDict, figures: ResultFigures) => StateDict | Promise<StateDict>,
  job?: ScriptedSite,
): ScriptedSite {
  return {
    ...(job ?? learning(honest)),
    tampered: (link) =>
      new Proxy(link, {
        get(target, key) {
          if (key === 'sendResult')
            return async (...[task, figures, message]: Parameters<ServerLink['sendResult']>) => {
              // Evaluations are left as they are; a job in fp32 has its results as models.
              const sent = message && (await replace(message as Exclude<typeof message, WriteResult>, figures));
              return target.sendResult(task, figures, sent);
            };
          const value = Reflect.get(target, key);
          return typeof value === 'function' ? value.bind(target) : value;
        },
      }),
  };
}

function warnings(events: readonly EventBody[]): string[] {
  return events.flatMap((event) => (event.type === 'warning' ? [event.message] : []));
}

/** The largest difference of any value, in steps of the honest sites. */
async function distance(a: Promise<Values> | Values, b: Promise<Values> | Values): Promise<number> {
  const [found, expected] = [await a, await b];
  return (
    Math.max(
      ...Object.entries(found).map(([name, data]) =>
        data.reduce((most, value, i) => Math.max(most, Math.abs(value - (expected[name]?.[i] as number))), 0),
      ),
    ) / STEP
  );
}

async function withoutMallory(job: JobInput): Promise<Values> {
  return (await federate(job, sites(absent))).master(job.rounds ?? 1);
}

describe('claims', () => {
  test.each(['fp32', 'u4'])('%s: all samples there are weigh no more than the other sites together', async (quantize) => {
    const mallory = learning((value, i) => value - STEP * Math.sin(i), HUGE);
    const { master, events } = await federate({ quantize, rounds: 2 }, sites(mallory));
    const without = federate({ quantize, rounds: 2 }, sites(absent));
    // Half of two steps apart, in each of two rounds.
    expect(await distance(master(2), (await without).master(2))).toBeLessThan(quantize === 'fp32' ? 2.001 : 2.2);
    const told = warnings(events);
    expect(told).toHaveLength(1);
    expect(told[0]).toMatch(/^mallory claims 100000000000 samples and counts for 200, so that it does not outweigh the other sites/);
  });

  test.each([
    ['equal', 2 / 3],
    [{ a: 1000, b: 1000, mallory: 1 }, 2 / 2001],
  ] as const)('count for nothing with weights %j', async (weights, apart) => {
    const mallory = learning((value, i) => value - STEP * Math.sin(i), HUGE);
    const { master, events } = await federate({ quantize: 'fp32', weights }, sites(mallory));
    expect(await distance(master(1), withoutMallory({ quantize: 'fp32' }))).toBeCloseTo(apart, 3);
    expect(warnings(events)).toEqual([]);
  });

  test.each([-100, 0, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53 - 1, 1e300])('of %d samples are no claims', async (samples) => {
    const mallory = sending((message, figures) => {
      Object.assign(figures, { samples });
      return message;
    });
    const { master, events } = await federate({ quantize: 'fp32' }, sites(mallory));
    expect(bitsOf(await master(1))).toEqual(bitsOf(await withoutMallory({ quantize: 'fp32' })));
    expect(warnings(events)[0]).toContain('round 1 goes on without mallory');
  });
});

const FAR: readonly (readonly [string, Change, RegExp])[] = [
  ['values of 3e38', (_, i) => (i % 2 === 0 ? 3e38 : -3e38), /round 1 goes on without mallory: .*(has the norm|non-finite|Infinity)/],
  ['an update a million times as large', (value, i) => value + 1e6 * STEP * Math.sin(i), /round 1 goes on without mallory: .*norm/],
  [
    'an update −12 times the others’',
    (value, i) => value - 12 * STEP * Math.sin(i),
    /mallory: sent an update of norm .*, more than 10 times the median/,
  ],
  ['a NaN', (value, i) => (i === 700 ? Number.NaN : value), /round 1 goes on without mallory/],
];

describe.each(['fp32', 'u4', 'nf4'])('%s: updates', (quantize) => {
  test.each(FAR)('%s: refused by name, and the others have their bits', async (_, change, reason) => {
    const { master, events } = await federate({ quantize }, sites(learning(change)));
    expect(bitsOf(await master(1))).toEqual(bitsOf(await withoutMallory({ quantize })));
    expect(warnings(events)).toEqual([expect.stringMatching(reason)]);
  });
});

test('an update of −10 times the others’ is within the bound: it moves the average by its weight, and no further', async () => {
  const mallory = learning((value, i) => value - 9.99 * STEP * Math.sin(i));
  const { master, events } = await federate({ quantize: 'fp32' }, sites(mallory));
  // A third of eleven steps.
  expect(await distance(master(1), withoutMallory({ quantize: 'fp32' }))).toBeLessThan(11 / 3 + 0.01);
  expect(warnings(events)).toEqual([]);
});

test('one of two sites is compared with the model, and never takes the sum beyond float32', async () => {
  for (const scale of [3e38, 1e12]) {
    const mallory = learning((value) => value + scale);
    const two = { a: learning(honest), mallory };
    const { master, events } = await federate({ quantize: 'fp32', quorum: 1 }, two);
    const alone = await federate({ quantize: 'fp32', quorum: 1 }, { a: learning(honest), mallory: absent });
    expect(bitsOf(await master(1))).toEqual(bitsOf(await alone.master(1)));
    expect(warnings(events)).toEqual([expect.stringContaining('round 1 goes on without mallory')]);
  }
});

test('a result in float64 is read like any other: what is no number, or too large, is found', async () => {
  for (const value of [Number.NaN, 1e300, 1e30]) {
    const mallory = sending(async () =>
      memoryStateDict([
        { name: 'w', dtype: 'F64', shape: [64, 48], data: new Uint8Array(new Float64Array(64 * 48).fill(value).buffer) },
        { name: 'norm', dtype: 'F64', shape: [1500], data: new Uint8Array(new Float64Array(1500).buffer) },
      ]),
    );
    const { master, events } = await federate({ quantize: 'fp32' }, sites(mallory));
    expect(bitsOf(await master(1))).toEqual(bitsOf(await withoutMallory({ quantize: 'fp32' })));
    expect(warnings(events)).toEqual([expect.stringContaining('round 1 goes on without mallory')]);
  }
});

describe('extras', () => {
  const job = { quantize: 'fp32', workflow: 'scaffold' } as const;
  const withControl = (scale: number): ScriptedSite => ({
    samples: 100,
    learn: async (given) => {
      const values = (await learning(honest).learn(given, 1)) as Values;
      const control = modelOf(
        Object.fromEntries(Object.entries(values).map(([name, data]) => [name, data.map((value) => scale * value)])),
        'F32',
      );
      return { values, extras: { control } };
    },
  });
  const others = { a: withControl(1), b: withControl(1) };

  const floats = (dtype: 'F32' | 'F64', value: number): StateDict =>
    memoryStateDict(
      Object.entries({ w: [64, 48], norm: [1500] }).map(([name, shape]) => {
        const count = shape.reduce((all, side) => all * side, 1);
        const data = dtype === 'F32' ? new Float32Array(count) : new Float64Array(count);
        data[count - 1] = value;
        return { name, dtype, shape, data: new Uint8Array(data.buffer) };
      }),
    );
  const swapped = (dtype: 'F32' | 'F64', value: number): ScriptedSite =>
    sending((message) => joinDicts({ model: splitDicts(message).model as StateDict, control: floats(dtype, value) }), withControl(1));

  test.each([
    ['a NaN', swapped('F32', Number.NaN), /NaN/],
    ['a NaN in float64', swapped('F64', Number.NaN), /NaN/],
    ['a float64 beyond float32', swapped('F64', 1e300), /Infinity/],
    ['3e38', swapped('F32', 3e38), /control of mallory has the norm/],
    ['a thousand times the others’', withControl(1000), /sent control of norm .*, more than 10 times the median/],
  ])('%s: refused by name, and model and control have the others’ bits', async (_, mallory, reason) => {
    const { master, events, run } = await federate(job, { ...others, mallory });
    const without = await federate(job, { ...others, mallory: absent });
    expect(bitsOf(await master(1))).toEqual(bitsOf(await without.master(1)));
    expect(await run.list('state')).toEqual(await without.run.list('state'));
    expect(warnings(events)).toEqual([expect.stringMatching(reason)]);
  });
});

test('too few are left: the run ends and names who was refused; it goes on once that site is honest', async () => {
  const run = memoryFolder('run');
  const folders = {};
  const job = { quantize: 'u4', quorum: 3 };
  const far = learning((value, i) => value + 1e4 * STEP * Math.sin(i));
  await expect(federate(job, sites(far), { run, folders })).rejects.toMatchObject({
    code: 'quorum',
    message: expect.stringMatching(/needs 3 results and can get at most 2 of 3: mallory sent an update of norm/),
  });
  const { master } = await federate(job, sites(learning(honest)), { run, folders });
  const undisturbed = await federate(job, sites(learning(honest)));
  expect(bitsOf(await master(1))).toEqual(bitsOf(await undisturbed.master(1)));
});

test.each(['fp32', 'u4'])('%s: a server that is cut off anywhere refuses the same site again, with the same bits', async (quantize) => {
  const job = { quantize, rounds: 3 };
  const mallory = (): ScriptedSite => ({
    ...learning(honest),
    learn: (given, round) => learning((value, i) => value + (round === 2 ? 1e4 : 1) * STEP * Math.sin(i + round)).learn(given, round),
  });
  const quiet = await federate(job, sites(mallory()));
  const expected = bitsOf(await quiet.master(3));
  const refusals = (events: readonly EventBody[]) =>
    warnings(events).filter((message) => message.startsWith('round 2 goes on without mallory'));
  expect(refusals(quiet.events)).toHaveLength(1);
  const run = memoryFolder('run');
  const folders = {};
  const seen: EventBody[] = [];
  for (let cuts = 0; ; cuts++) {
    const stop = new AbortController();
    let left = 9 + 5 * cuts;
    // Now and then right at the refusal.
    const onEvent = (event: EventBody): void => {
      seen.push(event);
      if (--left === 0 || (cuts === 1 && refusals([event]).length > 0)) stop.abort(new FedStreamError('aborted', 'cut off'));
    };
    try {
      const { master } = await federate(job, sites(mallory()), { run, folders, stop, onEvent });
      expect(bitsOf(await master(3))).toEqual(expected);
      expect(cuts).toBeGreaterThan(1);
      break;
    } catch (error) {
      if ((error as FedStreamError).code !== 'aborted') throw error;
    }
  }
  expect(new Set(refusals(seen))).toEqual(new Set(refusals(quiet.events)));
  expect(refusals(seen).length).toBeGreaterThan(0);
});
