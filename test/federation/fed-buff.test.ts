// Asynchronous federation: updates of sites that are slow and fast, and sites that fail, stall, flood
// or fall behind.
import { expect, test } from 'vitest';
import { FedStreamError } from '../../src/core/errors.js';
import { memoryFolder } from '../../src/core/memory-folder.js';
import type { EventOf } from '../../src/record/events.js';
import { type JournalEntry, readJournal } from '../../src/server/journal.js';
import { arrivals, conducted, jobOf, learnt, ROUNDS, sitesOf } from './in-order.js';
import { bitsOf, federate, type ScriptedSite, someValues, type Values } from './scripted.js';

/** A site that comes to no end before it is freed. */
function stalled(): { readonly site: ScriptedSite; free(): void } {
  let free = (): void => {};
  const freed = new Promise<void>((resolve) => (free = resolve));
  return { site: { learn: (given) => freed.then(() => given) }, free };
}

type Came = EventOf<'arrival'>;

/** The model by the paper's rule, in float64: `w += sum of (samples / total) / sqrt(1 + staleness) × update`. */
function byThePaper(history: readonly JournalEntry[], start: Values): Values {
  const versions: Values[] = [start];
  for (const { round, arrivals: came = [] } of history) {
    if (round === 0) continue;
    const done = came.filter(({ status }) => status === 'done');
    const samplesOf = (site: string): number => site.charCodeAt(0) - 96;
    const total = done.reduce((sum, { site }) => sum + samplesOf(site), 0);
    const next = Object.fromEntries(Object.entries(versions.at(-1) as Values).map(([name, data]) => [name, Float64Array.from(data)]));
    for (const { site, round: asked } of done) {
      const given = versions[asked - 1] as Values;
      const after = learnt(samplesOf(site) - 1, given, asked);
      const weight = samplesOf(site) / total / Math.sqrt(1 + round - asked);
      for (const [name, data] of Object.entries(next))
        for (let i = 0; i < data.length; i++)
          data[i] = (data[i] as number) + weight * ((after[name]?.[i] as number) - (given[name]?.[i] as number));
    }
    versions.push(Object.fromEntries(Object.entries(next).map(([name, data]) => [name, Float32Array.from(data)])));
  }
  return versions.at(-1) as Values;
}

function furthest(found: Values, expected: Values): number {
  let most = 0;
  for (const [name, data] of Object.entries(expected))
    for (const [i, value] of data.entries()) most = Math.max(most, Math.abs((found[name]?.[i] as number) - value));
  return most;
}

test('fast sites do not wait for a slow one, and old updates count for less', async () => {
  const asked: string[] = [];
  const { master, run, events } = await federate(jobOf({ quantize: 'fp32' }), sitesOf([0, 5, 120], asked));
  const history = await readJournal(run);
  expect(history.map(({ round }) => round)).toEqual([0, 1, 2, 3, 4, 5, 6]);
  for (const { round, arrivals: came = [] } of history.slice(1)) {
    const done = came.filter(({ status }) => status === 'done');
    expect(done.length, `round ${round}`).toBe(2);
    // A site trains a version once, so that it is in a buffer once.
    expect(new Set(done.map(({ site }) => site)).size).toBe(2);
  }
  expect(new Set(asked).size).toBe(asked.length);
  const came = arrivals(history).filter(({ site }) => site === 'c');
  for (const { round, asked: then } of came) expect(round).toBeGreaterThanOrEqual(then);
  const told = events.filter((event): event is Came => event.type === 'arrival');
  expect(told.map(({ site, round, asked: then }) => ({ site, round, asked: then, status: 'done' }))).toEqual(arrivals(history));
  for (const { round, asked: then, weight } of told) expect(weight).toBe(Math.fround(1 / Math.sqrt(1 + round - then)));
  expect(furthest(await master(ROUNDS), byThePaper(history, someValues(1)))).toBeLessThan(1e-6);
  expect(await run.list('rounds')).toEqual([]);
});

test.each(['fp32', 'u4'])('the same order of arrival gives the same bits (%s)', async (quantize) => {
  const first = await federate(jobOf({ quantize }), sitesOf([0, 3, 25]));
  const history = await readJournal(first.run);
  expect(arrivals(history).some(({ round, asked }) => round > asked)).toBe(true);
  const { sites, onEvent } = conducted(history, 3);
  const again = await federate(jobOf({ quantize }), sites, { onEvent });
  expect(arrivals(await readJournal(again.run))).toEqual(arrivals(history));
  expect(bitsOf(await again.master(ROUNDS))).toEqual(bitsOf(await first.master(ROUNDS)));
});

/** The warnings of a run. */
function warnings(events: readonly { readonly type: string; readonly message?: string }[]): string[] {
  return events.flatMap(({ type, message }) => (type === 'warning' && message !== undefined ? [message] : []));
}

test('an update that is too old is dropped, and its site is asked for a new one', async () => {
  const asked: string[] = [];
  let free: (() => void) | undefined;
  const slow: ScriptedSite = {
    learn: async (given, round) => {
      asked.push(`c-${round}`);
      // The first training ends when the others are some versions further.
      if (round === 1) await new Promise<void>((resolve) => (free = resolve));
      return learnt(2, given, round);
    },
  };
  const sites = { ...sitesOf([30, 30]), c: slow };
  const job = jobOf({ quantize: 'u4', staleness: 2, rounds: 8 });
  const onEvent = (event: { type: string; round?: number }): void => {
    if (event.type === 'round-finished' && event.round === 4) free?.();
  };
  const { run, events } = await federate(job, sites, { onEvent: onEvent as never });
  const [first, second] = arrivals(await readJournal(run)).filter(({ site }) => site === 'c');
  expect(first).toMatchObject({ asked: 1, status: 'late' });
  expect(first?.round).toBeGreaterThan(3);
  // It is asked again with the newest version there is.
  expect(second?.asked).toBe(first?.round);
  expect(asked.slice(0, 2)).toEqual(['c-1', `c-${first?.round}`]);
  expect(warnings(events).filter((message) => message.startsWith('the update of c is dropped'))).toHaveLength(1);
});

test('versions that no site is at work on any more are removed', async () => {
  const run = memoryFolder('run');
  const kept: number[] = [];
  const c = stalled();
  const sites = { ...sitesOf([2, 2]), c: c.site };
  const onEvent = (event: { type: string; round?: number }): void => {
    if (event.type === 'round-finished' && event.round === 12) c.free();
    if (event.type === 'round-started')
      void run.list('held').then((names) => kept.push(names.filter((name) => name.endsWith('.safetensors')).length));
  };
  const job = jobOf({ quantize: 'u4', staleness: 3, rounds: 12, stragglerMs: 60_000 });
  const evaluate = () => ({ loss: 1, samples: 1 });
  await federate(job, sites, { run, onEvent: onEvent as never, evaluate });
  // The last two of the chain, and the one that c is at work on until that is too old.
  expect(Math.max(...kept)).toBeLessThanOrEqual(3);
});

test('a site that fails is left alone longer and longer, and the others go on', async () => {
  const asked: string[] = [];
  const broken: ScriptedSite = {
    learn: (_, round) => {
      asked.push(`c-${round}`);
      throw new FedStreamError('trainer', 'out of memory');
    },
  };
  const { run, events } = await federate(jobOf({ quantize: 'fp32', rounds: 14 }), { ...sitesOf([4, 4]), c: broken });
  expect(asked).toEqual(['c-1', 'c-2', 'c-4', 'c-8']);
  expect(warnings(events).filter((message) => message.includes('without c: out of memory'))).toHaveLength(4);
  expect((await readJournal(run)).length).toBe(15);
});

test('a run without a quorum ends, and asks again when it is continued', async () => {
  const run = memoryFolder('run');
  const folders = {};
  const failing = (from: number): ScriptedSite => ({
    learn: (given, round) => {
      if (round >= from) throw new FedStreamError('trainer', 'out of memory');
      return learnt(1, given, round);
    },
  });
  const job = jobOf({ quantize: 'u4' });
  const lost = federate(job, { ...sitesOf([1]), b: failing(3), c: failing(3) }, { run, folders });
  await expect(lost).rejects.toMatchObject({
    code: 'quorum',
    message: expect.stringMatching(/^round [34] needs 2 sites .* has 1 of 3: b out of memory; c /),
  });
  const { result } = await federate(job, sitesOf([1, 1, 1]), { run, folders });
  expect(result.lastRound).toBe(ROUNDS);
});

test('a site that stalls is given up, and one that floods fills no buffer', async () => {
  let sent = 0;
  const flooding: ScriptedSite = {
    samples: 1e9,
    learn: (given, round) => learnt(0, given, round),
    tampered: (link) =>
      new Proxy(link, {
        get: (target, key) => {
          const value = Reflect.get(target, key);
          if (key !== 'sendResult') return typeof value === 'function' ? value.bind(target) : value;
          return async (...given: Parameters<typeof link.sendResult>) => {
            const [task, figures] = given;
            const answer = await target.sendResult(...given);
            // The same once more under other names, and figures that nobody asked for.
            for (const id of [task.id, `${task.id}-2`, `train-${task.round + 1}-a`, 'train-1-b']) {
              sent++;
              await target.sendResult({ ...task, id }, { ...figures, task: id }, undefined).catch(() => {});
            }
            return answer;
          };
        },
      }),
  };
  const evaluate = () => ({ loss: 1, samples: 1 });
  const c = stalled();
  const sites = { a: flooding, b: sitesOf([0, 350]).b as ScriptedSite, c: c.site };
  const onEvent = (event: { type: string; round?: number }): void => {
    if (event.type === 'round-finished' && event.round === ROUNDS) c.free();
  };
  const job = jobOf({ quantize: 'fp32', stragglerMs: 1500 });
  const { run, events } = await federate(job, sites, { evaluate, onEvent: onEvent as never });
  expect(sent).toBeGreaterThan(0);
  const history = await readJournal(run);
  for (const { arrivals: came = [] } of history.slice(1)) {
    const done = came.filter(({ status }) => status === 'done').map(({ site }) => site);
    expect(done.sort()).toEqual(['a', 'b']);
  }
  expect(warnings(events)).toContainEqual(expect.stringMatching(/^round \d goes on without c: made no progress for 1.5 s/));
  // Of two results one counts for at most four times the other, whatever it claims.
  expect(warnings(events)).toContainEqual(expect.stringContaining('a claims 1000000000 samples and counts for 8'));
});

test('an update far larger than the others is refused before it counts', async () => {
  const large: ScriptedSite = {
    learn: (given) => Object.fromEntries(Object.entries(given).map(([name, data]) => [name, data.map((value) => value + 50)])),
  };
  const { run, events } = await federate(jobOf({ quantize: 'fp32', buffer: 3, quorum: 3 }), { ...sitesOf([1, 2, 3]), d: large });
  expect(warnings(events)).toContainEqual(expect.stringMatching(/^the update of d is refused: sent an update of norm .* times the median/));
  expect(arrivals(await readJournal(run)).filter(({ site }) => site === 'd').length).toBeGreaterThan(0);
});

test('the sites evaluate each version, where the server has no data', async () => {
  const evaluating = Object.fromEntries(
    Object.entries(sitesOf([0, 5, 40])).map(([name, site]) => [
      name,
      { ...site, evaluate: (given: Values) => ({ loss: 1 + Math.abs(given.norm?.[0] as number), samples: 10 }) },
    ]),
  );
  const { run } = await federate(jobOf({ quantize: 'fp32' }), evaluating);
  const history = await readJournal(run);
  expect(history.every(({ evaluation }) => evaluation === undefined || evaluation.samples > 0)).toBe(true);
  expect(history.at(-1)?.evaluation?.samples).toBe(30);
  expect(history[0]?.evaluation?.loss).toBeCloseTo(1 + Math.abs(someValues(1).norm?.[0] as number), 6);
});

test.each([
  [jobOf({ buffer: 3 }), 'workflow.buffer: 3 updates of different sites may never come where 2 sites are enough'],
  [jobOf({ quantize: 'paper' }), 'whole weights, coded'],
  [jobOf({ sample: { sites: 2 }, quorum: 2 }), 'asks every site as soon as it is ready'],
])('a job that cannot be done is refused before anybody trains (%#)', async (job, message) => {
  const asked: string[] = [];
  await expect(federate(job, sitesOf([0, 0, 0], asked))).rejects.toMatchObject({
    code: 'bad-job',
    message: expect.stringContaining(message),
  });
  expect(asked).toEqual([]);
});
