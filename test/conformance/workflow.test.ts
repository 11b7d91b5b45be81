// Every workflow of the table passes its suite, and the suite finds the faults of others.
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { row } from '../../src/core/row.js';
import { SITES, type WorkflowUnderTest } from '../../src/testing/scripted-federation.js';
import { steppingTrainer } from '../../src/testing/stepping-trainer.js';
import { testWorkflow } from '../../src/testing/workflow-conformance.js';
import { aggregated } from '../../src/workflow/aggregate/aggregated.js';
import type { Federation } from '../../src/workflow/federation.js';
import { inRounds } from '../../src/workflow/in-rounds.js';
import { type MakeWorkflow, WORKFLOWS } from '../../src/workflow/workflows.js';
import { failures } from './failures.js';

const stepping = (site: string) => steppingTrainer({ site: SITES.indexOf(site as 'a'), steps: 5 });
/** The order of arrival is part of what `fedBuff` computes; test/federation/fed-buff*.test.ts replay it. */
const IN_ORDER_OF_ARRIVAL = {
  'gives the same bits again, whoever answers first': 'the bits depend on who answers first',
  'cut off at any instant it goes on, with the same bits, and asks nobody what was answered': 'a run that is cut off has another order',
  'a site alone that is cut off comes back, with the same bits': 'a site that is cut off answers later',
};

/** Options and jobs with which each row of the table is tried. */
const SETTINGS: Readonly<Record<string, readonly Omit<WorkflowUnderTest, 'row'>[]>> = {
  fedAvg: [{}, { job: { quantize: 'fp32', aggregator: { type: 'momentum', momentum: 0.9 } } }],
  fedNova: [{ options: { momentum: 0.5 }, job: { sample: { sites: 2 } } }],
  fedProx: [{ options: { mu: 0.5 }, job: { quantize: 'lean' } }],
  ditto: [{ options: { lambda: 0.5 } }],
  qFedAvg: [{ options: { q: 2, lipschitz: 3 } }],
  cyclic: [{ options: { order: 'random' } }],
  federatedEvaluation: [{}],
  fedBuff: [{ options: { buffer: 2 }, exceptions: IN_ORDER_OF_ARRIVAL }],
  statistics: [{}],
  scaffold: [{ returns: ['control'], job: { extras: { control: { quantize: 'bf16' } } } }],
  streaming: [
    { options: { parts: 2, overlap: 2, alpha: 0.5 }, trainer: stepping, endMs: 60_000 },
    { options: { parts: 2, overlap: 1, alpha: 0 }, trainer: stepping, endMs: 60_000, job: { quantize: 'fp32', aggregator: 'nesterov' } },
  ],
  // Its rounds have no model at the server, and its sites meet elsewhere: test/federation/swarm*.test.ts is its suite.
  swarm: [],
};

for (const row of WORKFLOWS)
  for (const setting of SETTINGS[row.name] ?? [])
    testWorkflow(`${row.name} ${JSON.stringify({ ...setting.options, ...setting.job })}`, { row, ...setting }, test);

test('every row of the table was tried', () => {
  expect(Object.keys(SETTINGS).sort()).toEqual(WORKFLOWS.map(({ name }) => name).sort());
});

describe('the suite finds', () => {
  type Round = Parameters<typeof inRounds>[1];
  type Changed = (input: Parameters<Round>[0], federation: Federation, aggregating: Parameters<MakeWorkflow>[0]) => ReturnType<Round>;
  /** FedAvg, but for what happens in a round. `make` is called for each life of a server. */
  const made = (make: () => Changed, more: Partial<WorkflowUnderTest> = {}): WorkflowUnderTest => ({
    row: row(
      'wrong',
      z.strictObject({}),
      (): MakeWorkflow => (aggregating) => {
        const round = make();
        return (federation) => inRounds(federation, (input) => round(input, federation, aggregating));
      },
    ),
    ...more,
  });
  const plain: Changed = async ({ offer, previous, evaluate }, federation, aggregating) => {
    const outcomes = await federation.gather({ kind: 'train', offer, evaluate });
    return { outcomes, model: await aggregated(aggregating, outcomes, previous, federation) };
  };
  /** One test alone: each is a federation, or several. */
  const found = async (subject: WorkflowUnderTest, title?: string) => {
    const exceptions: Record<string, string> = {};
    testWorkflow('', subject, (name) => {
      const other = name.slice(name.indexOf(': ') + 2);
      if (title !== undefined && other !== title) exceptions[other] = 'it is not looked at here';
    });
    return failures((register) => testWorkflow('wrong', { ...subject, exceptions }, register));
  };

  test('nothing where nothing is wrong', async () => {
    expect(
      await found(
        made(() => plain),
        'runs to its end: every committed round has a model, and nobody is asked twice',
      ),
    ).toEqual({});
  });

  let clock = 0;
  test.each<[what: string, subject: WorkflowUnderTest, title: string, message: RegExp]>([
    [
      'a site that is asked until it answers',
      made(
        () =>
          async ({ offer, previous, evaluate }, federation, aggregating) => {
            const ask = () => federation.gather({ kind: 'train', offer, evaluate }, { quorum: 0 });
            let outcomes = await ask();
            while (outcomes.some(({ status }) => status !== 'done')) outcomes = await ask();
            return { outcomes, model: await aggregated(aggregating, outcomes, previous, federation) };
          },
        { endMs: 1500 },
      ),
      'a site that fails does not hang it',
      /the run was not over after 1500 ms/,
    ],
    [
      'a clock',
      made(() => async ({ offer, previous, evaluate }, federation, aggregating) => {
        const outcomes = await federation.gather({ kind: 'train', offer, evaluate, figures: { now: clock++ } });
        return { outcomes, model: await aggregated(aggregating, outcomes, previous, federation) };
      }),
      'gives the same bits again, whoever answers first',
      /(journal|model|result) where the sites answer in another order/,
    ],
    [
      'rounds that are counted in the process',
      made(() => {
        let rounds = 0;
        return async ({ offer, previous, evaluate }, federation, aggregating) => {
          rounds++;
          const outcomes = await federation.gather({ kind: 'train', offer, evaluate, figures: { rounds } });
          return { outcomes, model: await aggregated(aggregating, outcomes, previous, federation) };
        };
      }),
      'cut off at any instant it goes on, with the same bits, and asks nobody what was answered',
      /after \d+ cuts/,
    ],
    [
      'a question at the beginning of each life',
      made(() => {
        let known = false;
        return async (input, federation, aggregating) => {
          if (!known) await federation.gather({ kind: 'evaluate', offer: input.offer, evaluate: true }, { sites: ['a'], quorum: 0 });
          known = true;
          return plain(input, federation, aggregating);
        };
      }),
      'cut off at any instant it goes on, with the same bits, and asks nobody what was answered',
      /what was asked, with \d+ cuts/,
    ],
    [
      'a model that is no model',
      made(() => async (input, federation, aggregating) => {
        const { model, outcomes } = await plain(input, federation, aggregating);
        return {
          outcomes,
          model: {
            ...model,
            async *chunks(range) {
              for await (const chunk of model.chunks(range))
                yield chunk.tensor.name === 'norm' ? { ...chunk, bytes: chunk.bytes.slice().fill(0xff) } : chunk;
            },
          },
        };
      }),
      'runs to its end: every committed round has a model, and nobody is asked twice',
      /norm has NaN at element 0/,
    ],
    [
      'an option that is not read',
      {
        row: row(
          'wrong',
          z.object({}),
          (): MakeWorkflow => (aggregating) => (federation) => inRounds(federation, (input) => plain(input, federation, aggregating)),
        ),
      },
      'takes the options that its schema says, and no others',
      /wrong takes an option that it does not have/,
    ],
  ])('%s', async (_, subject, title, message) => {
    expect(await found(subject, title)).toEqual({ [title]: expect.stringMatching(message) });
  });
});
