// What tensors people bring to a federation: dtypes, shapes, names, ties, and results that do not
// fit. Each row is a federation of one round in this process, whose result is the average that was
// computed by hand in float64.
import { expect } from 'vitest';
import { runInMemory } from '../../src/api/run-in-memory.js';
import type { JobInput } from '../../src/job/job.js';
import type { Dtype } from '../../src/tensor/dtype.js';
import type { FieldTable, Situation } from './situation.js';
import { modelOf, numbers, of, type Tensor, type Tensors, trainerOf, valuesOf } from './small-models.js';

interface Federated {
  readonly start: Tensors;
  readonly tied?: Readonly<Record<string, string>>;
  /** The results of the sites `a`, `b`, …; a site named by none returns what it got. */
  readonly results: readonly Tensors[];
  readonly samples?: readonly number[];
  readonly job?: JobInput;
}

/** A column of one tensor `w` in a dtype: the start, and what each site makes of it. */
function column(dtype: Dtype, start: readonly number[], ...sites: readonly (readonly number[])[]): Federated {
  return { start: { w: of(dtype, ...start) }, results: sites.map((values) => ({ w: of(dtype, ...values) })) };
}

async function federated({ start, tied, results, samples = [], job }: Federated, warn: (text: string) => void) {
  const trainers = Object.fromEntries(results.map((result, i) => ['abcdef'[i] as string, trainerOf(result, samples[i] ?? 1)]));
  const { model } = await runInMemory({
    job: { rounds: 1, quantize: 'fp32', trainer: { name: 'own' }, normBound: 'off', ...job },
    model: modelOf(start, tied),
    trainers,
    emit: (event) => {
      if (event.type === 'warning') warn(event.message);
    },
  });
  const values = await valuesOf(model);
  await model.close?.();
  return values;
}

/** Floats that no codec takes. */
const REFUSED: readonly [Dtype, string][] = [
  ['F64', 'float64, as NumPy makes it'],
  ['F8_E4M3', 'an 8-bit float (E4M3)'],
  ['F8_E5M2', 'an 8-bit float (E5M2)'],
  ['F8_E8M0', 'a scale of 8 bits (E8M0)'],
  ['F8_E4M3FNUZ', 'an 8-bit float (E4M3FNUZ)'],
  ['F8_E5M2FNUZ', 'an 8-bit float (E5M2FNUZ)'],
  ['F6_E2M3', 'a 6-bit float (E2M3)'],
  ['F6_E3M2', 'a 6-bit float (E3M2)'],
  ['F4', 'a 4-bit float'],
  ['C64', 'complex numbers'],
];

const INTEGERS: readonly Dtype[] = ['I8', 'U8', 'I16', 'U16', 'I32', 'U32', 'I64', 'U64', 'BOOL'];

const refusedDtypes = REFUSED.map(([dtype, name]): Situation<Federated> => {
  const values = dtype === 'F64' || dtype === 'C64' ? [1, 2, 3, 4] : [1, 2, 3];
  return {
    name: `a model in ${name}`,
    from: 'NumPy, PyTorch',
    input: column(dtype, values, values, values),
    refusal: new RegExp(`tensor w is ${dtype}, which is not averaged.*tensor\\.to\\(torch\\.float32\\)`),
    advice: 'Convert the tensors to float32, float16 or bfloat16 before the run.',
  };
});

const agreedIntegers = INTEGERS.map(
  (dtype): Situation<Federated> => ({
    name: `a table of ${dtype} that no site changes`,
    from: 'transformers',
    input: { start: { ids: of(dtype, 0, 1, 1), w: numbers(0) }, results: [1, 4].map((w) => ({ ids: of(dtype, 0, 1, 1), w: numbers(w) })) },
    gives: { ids: [0, 1, 1], w: [2.5] },
    warning: new RegExp(`ids \\(${dtype} \\[3\\]\\) cannot be averaged`),
    advice: 'It stays as it is; a warning at the start says that a round would end where sites change it differently.',
  }),
);

/** A counter beside a weight, different at each site. */
const counter = (dtype: Dtype, ...values: number[]): Federated => ({
  start: { 'bn.num_batches_tracked': { dtype, shape: [], values: [0] }, w: numbers(0) },
  results: values.map((count, i) => ({ 'bn.num_batches_tracked': { dtype, shape: [], values: [count] }, w: numbers(i) })),
});

/** A table of integers that the sites change differently. */
const table = (job: JobInput = {}): Federated => ({
  start: { 'q.codes': of('I64', 1, 1) },
  results: [{ 'q.codes': of('I64', 7, 9) }, { 'q.codes': of('I64', 7, 8) }],
  job,
});

const wrongValue = (value: number, dtype: Dtype = 'F32'): Federated => ({
  start: { w: numbers(0, 0) },
  results: [{ w: numbers(1, 2) }, { w: of(dtype, 5, value) }, { w: numbers(3, 6) }],
  job: { quorum: 2 },
});

const TWO = { a: numbers(1, 2), b: numbers(3) };
const unfit = (name: string, result: Tensors, refusal: RegExp): Situation<Federated> => ({
  name,
  from: 'Flower, NVFlare',
  input: { start: TWO, results: [result, TWO] },
  refusal,
  advice: 'A result has the tensors of the model that was received: the same names and shapes.',
});

const named = (name: string, what: string): Situation<Federated> => ({
  name: `a tensor named ${what}`,
  from: 'PyTorch',
  input: {
    start: Object.fromEntries([[name, numbers(0)]]),
    results: [Object.fromEntries([[name, numbers(1)]]), Object.fromEntries([[name, numbers(2)]])],
  },
  gives: expect.objectContaining({}),
  advice: 'Any name of 1 to 1,024 characters travels as it is.',
});

const ZEROS = numbers(0, 0);
const LONG = 300_000;
const line = (slope: number): Tensor => ({ values: Array.from({ length: LONG }, (_, i) => (i % 64) * slope) });

export const TENSORS: FieldTable<Federated> = {
  title: 'Tensors',
  intro:
    'Dtypes, shapes and names of what is averaged. The server keeps float32, whatever the checkpoint has, and every result is compared with the average computed by hand in float64.',
  run: (input, { warn }) => federated(input, warn),
  rows: [
    {
      name: 'float32 weights',
      from: 'PyTorch',
      input: { ...column('F32', [0, 0], [1, 2], [4, 8]), samples: [1, 3] },
      gives: { w: [3.25, 6.5] },
      advice: 'They are averaged in float32, weighted by samples.',
    },
    {
      name: 'float16 weights, whose average lies between two float16 numbers',
      from: 'transformers',
      input: column('F16', [1], [1], [1 + 2 ** -10]),
      gives: { w: [1 + 2 ** -11] },
      advice: 'The average is kept in float32, so nothing is lost between two steps of 16 bits.',
    },
    {
      name: 'bfloat16 weights, whose average lies between two bfloat16 numbers',
      from: 'transformers',
      input: column('BF16', [1], [1], [1 + 2 ** -7]),
      gives: { w: [1 + 2 ** -8] },
      advice: 'The average is kept in float32, so nothing is lost between two steps of 16 bits.',
    },
    {
      name: 'a model of two dtypes',
      from: 'transformers',
      input: {
        start: { w: of('BF16', 0, 0), norm: numbers(1) },
        results: [
          { w: of('BF16', 1, 2), norm: numbers(1.5) },
          { w: of('BF16', 3, 6), norm: numbers(2) },
        ],
      },
      gives: { w: [2, 4], norm: [1.75] },
      advice: 'Each tensor keeps its dtype at the sites.',
    },
    ...refusedDtypes,
    {
      name: 'a script that returns float64 for a float32 model',
      from: 'NumPy',
      input: { start: { w: numbers(0, 0) }, results: [{ w: of('F64', 1, 2) }, { w: of('F64', 2, 5) }] },
      gives: { w: [1.5, 3.5] },
      advice: 'Float dtypes may differ from those of the model: the result is rounded to float32.',
    },
    {
      name: 'sites that return float64, float32 and bfloat16',
      from: 'Flower',
      input: { start: { w: numbers(0) }, results: [{ w: of('F64', 1) }, { w: numbers(2) }, { w: of('BF16', 6) }] },
      gives: { w: [expect.closeTo(3, 6)] },
      advice: 'Float dtypes may differ from site to site.',
    },
    ...agreedIntegers,
    {
      name: 'the counter of a BatchNorm, different at each site',
      from: 'PyTorch',
      input: counter('I64', 40, 60),
      gives: { 'bn.num_batches_tracked': [60], w: [0.5] },
      advice: 'A tensor of one integer takes the largest of the sites; "integers" of the job has other rules.',
    },
    {
      name: 'a flag that one site sets',
      from: 'PyTorch',
      input: counter('BOOL', 0, 1),
      gives: { 'bn.num_batches_tracked': [1], w: [0.5] },
      advice: 'A tensor of one value takes the largest of the sites: a flag is set where any site sets it.',
    },
    {
      name: 'a table of integers that sites change differently',
      from: 'PyTorch',
      input: table(),
      refusal: /tensor q\.codes is I64 \[2\], which cannot be averaged, and a and b have different values.*"integers": "previous"/,
      advice: 'Say "integers": "previous" or "largest" in the job, or leave the tensor out with a filter.',
    },
    {
      name: 'a table of integers, and "integers": "previous"',
      from: 'PyTorch',
      input: table({ integers: 'previous' }),
      gives: { 'q.codes': [1, 1] },
      advice: 'The values of the global model stay.',
    },
    {
      name: 'a table of integers, and "integers": "largest"',
      from: 'PyTorch',
      input: table({ integers: 'largest' }),
      gives: { 'q.codes': [7, 9] },
      advice: 'The largest value counts, element by element.',
    },
    ...(
      [
        [Number.NaN, 'NaN'],
        [Number.POSITIVE_INFINITY, 'Infinity'],
      ] as const
    ).map(
      ([value, what]): Situation<Federated> => ({
        name: `a site whose result has ${what}`,
        from: 'NVFlare',
        input: wrongValue(value),
        gives: { w: [2, 4] },
        warning: new RegExp(`goes on without b: .*tensor w has ${what} at element 1`),
        advice: 'The result of that site is refused by name of tensor and element; the round goes on with its quorum.',
      }),
    ),
    {
      name: 'a float64 value beyond the range of float32',
      from: 'NumPy',
      input: wrongValue(1e300, 'F64'),
      gives: { w: [2, 4] },
      warning: /goes on without b: .*tensor w has Infinity at element 1/,
      advice: 'It counts as infinite, and the result is refused.',
    },
    {
      name: 'tensors that a filter leaves out',
      from: 'Flower',
      input: {
        start: TWO,
        results: [
          { a: numbers(3, 4), b: numbers(9) },
          { a: numbers(5, 8), b: numbers(9) },
        ],
        job: { filters: { 'result-out': [{ type: 'exclude', patterns: ['b'] }] } },
      },
      gives: { a: [4, 6], b: [3] },
      advice: 'The server keeps its own values of them.',
    },
    {
      name: 'float64 results with a bound on the norm of updates',
      from: 'NVFlare',
      input: {
        start: { w: numbers(0, 0) },
        results: [{ w: of('F64', 3, 4) }, { w: of('F64', 0, 0.5) }],
        job: { filters: { 'result-out': [{ type: 'clip', norm: 1 }] } },
      },
      gives: { w: [expect.closeTo(0.3, 6), expect.closeTo(0.65, 6)] },
      advice: 'The bound holds for the update in float32.',
    },
    {
      name: 'one zeros array under two names',
      from: 'NumPy',
      input: {
        start: { a: ZEROS, b: ZEROS },
        results: [
          { a: numbers(1, 1), b: numbers(2, 4) },
          { a: numbers(3, 3), b: numbers(6, 4) },
        ],
      },
      gives: { a: [2, 2], b: [4, 4] },
      advice: 'Equal bytes tie nothing: each name is trained for itself.',
    },
    {
      name: 'an embedding that is the head too',
      from: 'transformers',
      input: { start: { embed: numbers(0) }, tied: { head: 'embed' }, results: [{ embed: numbers(1) }, { embed: numbers(2) }] },
      gives: { embed: [1.5] },
      advice: 'A tied tensor travels once.',
    },
    {
      name: 'a result with both names of a tied tensor',
      from: 'transformers',
      input: {
        start: { embed: numbers(0) },
        tied: { head: 'embed' },
        results: [{ embed: numbers(1), head: numbers(5) }, { embed: numbers(2) }],
      },
      refusal: /the result of a has the tensor head/,
      advice: 'Return tied tensors once; a program over the bridge may return both, with the same values.',
    },
    {
      name: 'a scalar',
      from: 'PyTorch',
      input: { start: { t: { shape: [], values: [1] } }, results: [2, 4].map((t) => ({ t: { shape: [], values: [t] } })) },
      gives: { t: [3] },
      advice: 'Shapes of any rank are averaged, a single number too.',
    },
    {
      name: 'a tensor without elements between others',
      from: 'PyTorch',
      input: {
        start: { a: numbers(0), none: { shape: [0, 4], values: [] }, b: numbers(0) },
        results: [1, 3].map((x) => ({ a: numbers(x), none: { shape: [0, 4], values: [] }, b: numbers(-x) })),
      },
      gives: { a: [2], none: [], b: [-2] },
      advice: 'It travels as it is.',
    },
    {
      name: 'a tensor of five dimensions',
      from: 'PyTorch',
      input: {
        start: { conv: { shape: [1, 2, 1, 2, 1], values: [0, 0, 0, 0] } },
        results: [1, 2].map((x) => ({ conv: { shape: [1, 2, 1, 2, 1], values: [x, x, x, 4 * x] } })),
      },
      gives: { conv: [1.5, 1.5, 1.5, 6] },
      advice: 'Shapes of any rank are averaged.',
    },
    {
      name: 'a tensor larger than a chunk',
      from: 'transformers',
      input: { start: { w: line(0) }, results: [{ w: line(1) }, { w: line(2) }] },
      gives: { w: line(1.5).values },
      advice: 'Tensors of any size are averaged, chunk by chunk.',
    },
    ...[
      named('__proto__', '__proto__'),
      named('constructor', 'constructor'),
      named('модель/слой 0/β', 'in another script, with blanks and slashes'),
      named('@control/w', 'as those of an extra are'),
      named('w'.repeat(1024), 'in 1,024 characters'),
    ].map((row) => {
      const [name] = Object.keys(row.input.start);
      return { ...row, gives: Object.fromEntries([[name, [1.5]]]) };
    }),
    unfit('a result without one of the tensors', { a: numbers(1, 2) }, /the result of a lacks the tensor b F32 \[1\]/),
    unfit(
      'a result with a tensor more',
      { ...TWO, extra: numbers(1) },
      /the result of a has the tensor extra, which the model does not have/,
    ),
    unfit(
      'a result with a tensor of another shape',
      { a: numbers(1, 2, 3), b: numbers(3) },
      /the result of a: a is F32 \[3\], the model has F32 \[2\]/,
    ),
    unfit(
      'a result with integers in the place of floats',
      { a: of('I64', 1, 2), b: numbers(3) },
      /the result of a: a is I64 \[2\], the model has F32 \[2\]/,
    ),
    unfit(
      'a result in 8-bit floats',
      { a: of('F8_E4M3', 1, 2), b: numbers(3) },
      /the result of a: a is F8_E4M3 \[2\], the model has F32 \[2\]/,
    ),
    unfit(
      'a result whose names have a prefix',
      { 'module.a': numbers(1, 2), 'module.b': numbers(3) },
      /the result of a lacks the tensor a/,
    ),
  ],
};
