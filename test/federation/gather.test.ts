// Time limits of a round: the job's, a workflow's own, and the same limits after a restart.
import { expect, test } from 'vitest';
import { FedStreamError } from '../../src/core/errors.js';
import { memoryFolder } from '../../src/core/memory-folder.js';
import type { Folder } from '../../src/core/storage.js';
import type { Workflow } from '../../src/workflow/federation.js';
import { federate, type ScriptedSite, someValues, type Values } from './scripted.js';

const same = (given: Values): Values => given;
const slow = (ms: number): ScriptedSite => ({
  learn: async (given) => {
    await new Promise((resolve) => setTimeout(resolve, ms));
    return given;
  },
});
const warnings = (events: readonly { type: string }[]): string[] =>
  events.flatMap((event) => (event.type === 'warning' ? [(event as { message?: string }).message ?? ''] : []));

test('once a round has its quorum, the other sites get a limited time', async () => {
  const sites = { a: { learn: same }, b: { learn: same }, c: slow(4000) };
  const { events } = await federate({ quantize: 'fp32', quorum: 2, graceMs: 50 }, sites);
  expect(warnings(events)[0]).toBe('round 1 goes on without c: had not finished when the grace period was over');
});

test('a round that takes too long ends with the results so far, if they are a quorum', async () => {
  const sites = { a: { learn: same }, b: slow(20_000) };
  const { events } = await federate({ quantize: 'fp32', quorum: 1, roundMs: 2000 }, sites);
  expect(warnings(events)[0]).toBe("round 1 goes on without b: had not finished when the round's time was up");
  await expect(federate({ quantize: 'fp32', quorum: 2, roundMs: 2000 }, sites)).rejects.toThrow(
    /needs 2 results and can get at most 1 of 2: b had not finished when the round's time was up/,
  );
});

test('sites that were given up stay so after a restart: the round has the same results', async () => {
  const run = memoryFolder('run');
  const folders: Record<string, Folder> = {};
  const seen: string[][] = [];
  let stop = new AbortController();
  const workflow: Workflow = async (federation) => {
    if (federation.history.length === 0) await federation.commit();
    const outcomes = await federation.gather({ kind: 'train', offer: await federation.offer() }, { quorum: 1, graceMs: 50 });
    seen.push(outcomes.map(({ site, status }) => `${site} ${status}`));
    if (seen.length === 1) {
      stop.abort(new FedStreamError('aborted', 'cut off'));
      federation.signal.throwIfAborted();
    }
    const model = await federation.models.write('model', await federation.models.open('model'));
    await model.close?.();
    await federation.commit();
    return 'done';
  };
  const sites = { a: { learn: same }, b: slow(4000) };
  const options = { run, folders, workflow, start: someValues(2) };
  await expect(federate({ quantize: 'fp32' }, sites, { ...options, stop })).rejects.toMatchObject({ code: 'aborted' });
  stop = new AbortController();
  // This time b would be fast enough.
  await federate({ quantize: 'fp32' }, { a: { learn: same }, b: { learn: same } }, { ...options, stop });
  expect(seen).toEqual([
    ['a done', 'b late'],
    ['a done', 'b late'],
  ]);
});

test('a site that is asked twice in a round: its answers are kept apart', async () => {
  let asked = 0;
  const counts = {
    learn: (given: Values): Values => Object.fromEntries(Object.entries(given).map(([name, data]) => [name, data.map(() => ++asked)])),
  };
  const firsts: number[] = [];
  const workflow: Workflow = async (federation) => {
    await federation.commit();
    const offer = await federation.offer();
    for (let i = 0; i < 2; i++) {
      const { model } = await federation.ask('a', { kind: 'train', offer });
      for await (const { bytes, firstElement, tensorIndex } of model?.chunks() ?? [])
        if (firstElement === 0 && tensorIndex === 0) firsts.push(new Float32Array(bytes.slice().buffer)[0] as number);
    }
    return 'done';
  };
  await federate({ quantize: 'fp32' }, { a: counts }, { workflow });
  expect(firsts).toEqual([1, 64 * 48 + 1501]);
});

test('a site that does not know a task names those that it knows', async () => {
  const workflow: Workflow = async (federation) => {
    await federation.commit();
    await federation.ask('a', { kind: 'census' });
    return 'done';
  };
  await expect(federate({ quantize: 'fp32' }, { a: { learn: same } }, { workflow })).rejects.toThrow(
    /a this site has no task "census"; it has train, trainPart, evaluate, offer, base, statistics/,
  );
});

test('two asks of one site at once are a mistake of the workflow, and it is told', async () => {
  const workflow: Workflow = async (federation) => {
    await federation.commit();
    const offer = await federation.offer();
    await Promise.all([federation.ask('a', { kind: 'train', offer }), federation.ask('a', { kind: 'evaluate', offer })]);
    return 'done';
  };
  await expect(federate({ quantize: 'fp32' }, { a: slow(50) }, { workflow })).rejects.toThrow(
    /a is asked already; a workflow asks a site one thing at a time/,
  );
});

test('different sites may be asked at once', async () => {
  const workflow: Workflow = async (federation) => {
    await federation.commit();
    const offer = await federation.offer();
    const replies = await Promise.all(['a', 'b'].map((site) => federation.ask(site, { kind: 'train', offer })));
    expect(replies.map(({ site, figures }) => [site, figures.steps])).toEqual([
      ['a', 1],
      ['b', 1],
    ]);
    return 'done';
  };
  await federate({ quantize: 'fp32' }, { a: slow(50), b: slow(10) }, { workflow });
});
