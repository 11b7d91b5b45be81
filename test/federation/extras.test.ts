// State dicts beside the model: coded and filtered by name, checked, resumed, and refused unless
// they were asked for.
import { expect, test } from 'vitest';
import { z } from 'zod';
import { row } from '../../src/core/row.js';
import { kitWith, parseJob, workflowOf } from '../../src/kit/kit.js';
import { memoryStateDict } from '../../src/tensor/memory-state-dict.js';
import type { StateDict } from '../../src/tensor/state-dict.js';
import { aggregated } from '../../src/workflow/aggregate/aggregated.js';
import { inRounds } from '../../src/workflow/in-rounds.js';
import type { MakeWorkflow } from '../../src/workflow/workflows.js';
import { federate, inBf16, modelOf, someValues, type Values, valuesOf } from './scripted.js';

const SENT = someValues(5);

/** A workflow that sends `hint` down and takes it back through the job's filters. */
const hinted: MakeWorkflow = (aggregating) => (federation) =>
  inRounds(federation, async ({ offer, previous, evaluate }) => {
    const hint = modelOf(SENT, 'F32');
    const ask = { kind: 'train', offer, evaluate, extras: { hint }, figures: { mu: 0.5 }, returnsExtras: { hint: hint.manifest } } as const;
    const outcomes = await federation.gather(ask);
    for (const outcome of outcomes)
      if (outcome.status === 'done') back[outcome.site] = await valuesOf(outcome.reply.extras.hint as StateDict);
    return { outcomes, model: await aggregated(aggregating, outcomes, previous, federation) };
  });
const back: Record<string, Values> = {};
const kit = kitWith({ workflows: [row('hinted', z.strictObject({}), () => hinted)] });

async function run(job: object, answer: (given: Values) => Readonly<Record<string, StateDict>>) {
  for (const site of Object.keys(back)) delete back[site];
  const given: Values[] = [];
  const figures: unknown[] = [];
  const site = (name: string) => ({
    learn: async (model: Values, _round: number, task?: { extras?: Readonly<Record<string, StateDict>>; figures?: unknown }) => {
      const hint = await valuesOf(task?.extras?.hint as StateDict);
      if (name === 'a') given.push(hint);
      figures.push(task?.figures);
      return { values: model, extras: answer(hint) };
    },
  });
  const checked = { workflow: 'hinted', quantize: 'u4', rounds: 1, quorum: 1, ...job };
  const workflow = workflowOf(parseJob(checked, 'test', kit), kit);
  const done = await federate({ ...checked, workflow: 'fedAvg' }, { a: site('a'), b: site('b') }, { workflow });
  return { ...done, given, figures };
}

test('extras keep their bits down and up, and figures go with them', async () => {
  const { given, figures } = await run({}, (hint) => ({ hint: modelOf(hint, 'F32') }));
  expect(given).toEqual([SENT]);
  expect(figures).toEqual([{ mu: 0.5 }, { mu: 0.5 }]);
  expect(back).toEqual({ a: SENT, b: SENT });
});

test('each name has its own coding and its own filters', async () => {
  const extras = { hint: { quantize: 'bf16', filters: { 'result-out': [{ type: 'exclude', patterns: ['norm'] }] } } };
  const { given } = await run({ extras }, (hint) => ({ hint: modelOf(hint, 'F32') }));
  const rounded = { w: inBf16(SENT.w as Float32Array), norm: inBf16(SENT.norm as Float32Array) };
  expect(given).toEqual([rounded]);
  expect(back).toEqual({ a: { w: rounded.w }, b: { w: rounded.w } });
});

test.each([
  [
    'one too many',
    (hint: Values) => ({ hint: modelOf(hint, 'F32'), more: modelOf(hint, 'F32') }),
    /carries "more", which was not asked for/,
  ],
  ['none', () => ({}), /lacks "hint", which was asked for/],
  [
    'another shape',
    () => ({ hint: memoryStateDict([{ name: 'w', dtype: 'F32', shape: [2], data: new Float32Array(2) }]) }),
    /hint of [ab] lacks the tensor norm/,
  ],
  [
    'a NaN',
    (hint: Values) => ({ hint: modelOf({ ...hint, norm: new Float32Array(1500).fill(Number.NaN) }, 'F32') }),
    /hint of [ab]: tensor norm has NaN at element 0/,
  ],
])('a result’s extras are checked: %s', async (_, answer, message) => {
  await expect(run({}, answer as (hint: Values) => Record<string, StateDict>)).rejects.toThrow(message);
});

test('a filter of updates cannot be used on a state dict that is no update', () => {
  const extras = { control: { filters: { 'result-out': [{ type: 'clip', norm: 1 }] } } };
  expect(() => parseJob({ extras }, 'job')).toThrow(
    'job: extras.control.filters.result-out.0: clip works on updates of the model; control is none',
  );
});
