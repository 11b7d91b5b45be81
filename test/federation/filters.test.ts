// Filters of results in a whole federation: those that a site's owner enforces, and the server's.
import { expect, test } from 'vitest';
import { z } from 'zod';
import { row } from '../../src/core/row.js';
import type { Filter } from '../../src/filter/filter.js';
import { checkedJob, type JobInput } from '../../src/job/job.js';
import type { Chunk, StateDict } from '../../src/tensor/state-dict.js';
import { bitsOf, federate, type ScriptedSite, someValues, type Values } from './scripted.js';

/** A filter that multiplies updates by a number. */
function times(factor: number): Filter {
  async function* chunks(update: StateDict, range?: Parameters<StateDict['chunks']>[0]): AsyncGenerator<Chunk> {
    for await (const chunk of update.chunks(range)) {
      const values = new Float32Array(chunk.bytes.slice().buffer).map((value) => value * factor);
      yield { ...chunk, bytes: new Uint8Array(values.buffer) };
    }
  }
  return { on: 'update', apply: (update) => ({ manifest: update.manifest, chunks: (range) => chunks(update, range) }) };
}

const table = [row('times', z.strictObject({ factor: z.number() }), ({ factor }) => times(factor))];
const policy = { filters: [{ type: 'times', factor: 0.5 }], table };
const step = 2 ** -10;
const learner: ScriptedSite = {
  learn: (given: Values) => Object.fromEntries(Object.entries(given).map(([name, data]) => [name, data.map((value) => value + step)])),
};

/** The change of the mean of `w`, in steps of the trainer. */
async function moved(job: JobInput, site: ScriptedSite): Promise<number> {
  const { master } = await federate({ rounds: 1, ...job }, { a: site });
  const [start, model] = [someValues(1).w as Float32Array, (await master(1)).w as Float32Array];
  return model.reduce((sum, value, i) => sum + (value - (start[i] as number)), 0) / model.length / step;
}

test.each<JobInput>([
  { quantize: 'u4' },
  { quantize: 'fp32' },
  { quantize: 'fp32', delta: true },
  { quantize: 'fp32', filters: { 'result-out': [{ type: 'delta' }], 'result-in': [{ type: 'undelta' }] } },
  { quantize: 'fp32', filters: { 'result-out': [{ type: 'delta' }, { type: 'quantize', codec: 'u4' }] } },
  { quantize: 'u4', filters: { 'result-out': [{ type: 'delta' }], 'result-in': [{ type: 'undelta' }] } },
  { quantize: 'u4', streaming: 'regular' },
  { quantize: 'fp32', streaming: 'container' },
])('%j: the owner’s filter halves the update, whatever the job says', async (job) => {
  expect(await moved(job, learner)).toBeCloseTo(1, 1);
  expect(await moved(job, { ...learner, policy })).toBeCloseTo(0.5, 1);
});

test('a filter of the owner that changes nothing leaves every bit of a coded run', async () => {
  const job: JobInput = { quantize: 'u4', rounds: 3 };
  const still = { filters: [{ type: 'times', factor: 1 }], table };
  const [plain, filtered] = [await federate(job, { a: learner }), await federate(job, { a: { ...learner, policy: still } })];
  expect(bitsOf(await filtered.master(3))).toEqual(bitsOf(await plain.master(3)));
});

test.each<JobInput>([
  { quantize: 'u4', filters: { 'result-out': [{ type: 'clip', norm: step }] } },
  { quantize: 'fp32', filters: { 'result-out': [{ type: 'clip', norm: step }] } },
  { quantize: 'u4', filters: { 'result-in': [{ type: 'clip', norm: step }] } },
  { quantize: 'fp32', filters: { 'result-in': [{ type: 'clip', norm: step }] } },
])('%j: the model moves no farther than clip allows one site to move it', async (job) => {
  const { master } = await federate({ rounds: 1, ...job }, { a: learner });
  const [start, model] = [someValues(1), await master(1)];
  let squares = 0;
  for (const [name, data] of Object.entries(model))
    for (const [i, value] of data.entries()) squares += (value - (start[name]?.[i] as number)) ** 2;
  // The bound is loose by the error of four bits, and of adding to larger weights.
  expect(Math.sqrt(squares)).toBeLessThan(step * 1.1);
  expect(Math.sqrt(squares)).toBeGreaterThan(step * 0.9);
});

test('clip’s figures go with the result; those of the owner’s filters do not', async () => {
  const clip = { type: 'clip', norm: step };
  const counts = async (job: JobInput, site: ScriptedSite) => {
    const { events } = await federate({ rounds: 1, quantize: 'u4', ...job }, { a: site });
    return events.flatMap((event) => (event.type === 'site-result' ? [event.counts] : []));
  };
  const norm = step * Math.sqrt(64 * 48 + 1500);
  expect(await counts({ filters: { 'result-out': [clip] } }, learner)).toEqual([{ clipped: 1, updateNorm: expect.closeTo(norm, 6) }]);
  expect(await counts({}, { ...learner, policy: { filters: [clip] } })).toEqual([{}]);
});

test('a site with an unusable policy does not join', async () => {
  const wrong = { filters: [{ type: 'time', factor: 1 }], table };
  const run = federate({ rounds: 1, sites: ['a', 'b'], quorum: 1, stragglerMs: 500 }, { a: learner, b: { ...learner, policy: wrong } });
  const { events } = await run;
  expect(events.some((event) => 'site' in event && event.site === 'b' && event.type === 'site-result')).toBe(false);
});

test.each([
  [{ 'result-out': ['delta', 'delta'] }, 'test: filters.result-out.1: delta: there is an update here already; leave it out'],
  [{ 'result-out': ['trim'] }, /^test: filters\.result-out\.0: there is no filter "trim"; the filters are exclude, include, /],
  [{ 'result-out': [{ type: 'exclude', patterns: [] }] }, /^test: filters\.result-out\.0\.patterns: /],
  [{ 'result-out': [{ type: 'quantize', codec: 'u9' }] }, /^test: filters\.result-out\.0\.codec: there is no codec "u9"/],
])('%j is refused when the job is read', (filters, message) => {
  const read = (): unknown => checkedJob({ filters }, 'test');
  expect(read).toThrow(
    expect.objectContaining({ code: 'bad-job', message: typeof message === 'string' ? message : expect.stringMatching(message) }),
  );
});
