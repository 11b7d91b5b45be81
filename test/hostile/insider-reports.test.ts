// Reports and figures of an insider: none of them breaks a mean, holds a round, fills a disk or ends
// the process.
import { expect, test } from 'vitest';
import { summarySchema } from '../../src/record/summary-schema.js';
import { memorySource } from '../../src/stream/source.js';
import { bitsOf } from '../federation/scripted.js';
import { failOn, honest, type Mallory, refusal, runWith } from './insider.js';

const memory = { rssBytes: 1, peakRssBytes: 1 };

async function firstTask(peer: Mallory) {
  const next = await peer.next();
  if ('stop' in next) throw new Error('it stopped');
  return next.task;
}

/** The bits of a run whose mallory does nothing but fail. */
const quiet = runWith({}, failOn).then(({ model }) => bitsOf(model));

test.each([
  [
    'budget figureSize: a loss of 1e308',
    { evaluation: { loss: 1e308, samples: 1 } },
    /refused at evaluation\.loss: its size is at most 1e\+100/,
  ],
  ['budget samples: 2^53 − 1 samples', { samples: Number.MAX_SAFE_INTEGER }, /refused at samples/],
  ['budget stepNumber: 2^53 − 1 steps', { steps: Number.MAX_SAFE_INTEGER }, /refused at steps/],
  ['budget memoryFigure: more memory than there is', { peakRssBytes: 2 ** 51 }, /refused at peakRssBytes/],
  [
    'budget namedFigures: a thousand metrics',
    { metrics: Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`m${i}`, i])) },
    /metrics/,
  ],
  ['a name that a terminal obeys', { counts: { '\u001b[2J': 1 } }, /counts\.\\u001b\[2J/],
])('%s is refused by name, and the round goes on', async (_, wrong, named) => {
  const { summary, model, lines } = await runWith({}, async (peer) => {
    const { id } = await firstTask(peer);
    const figures = { task: id, samples: 1, steps: 1, trainLoss: 1, counts: {}, ...wrong };
    const sent = peer.streams.send({ kind: 'result', figures }, memorySource(new Uint8Array(100)));
    const error = await refusal(sent);
    expect(error.code).toBe('limit');
    expect(error.message).toMatch(named);
    await failOn(peer);
  });
  expect(bitsOf(model)).toEqual(await quiet);
  expect(summarySchema.safeParse(summary).success).toBe(true);
  expect(summary.warnings.join('\n')).toMatch(named);
  expect(lines.filter(({ level, message }) => level !== 'info' && named.test(message)).length).toBeGreaterThan(0);
});

test.each([Number.NaN, Number.POSITIVE_INFINITY])('a figure that is %s ends the session, and nothing else', async (trainLoss) => {
  const { lines, model } = await runWith({}, async (peer, again) => {
    const { id } = await firstTask(peer);
    const figures = { task: id, samples: 1, steps: 1, trainLoss, counts: {} };
    await refusal(peer.streams.send({ kind: 'result', figures }, memorySource(new Uint8Array(100))));
    expect((await peer.session.closed).code).toBe('bad-frame');
    await failOn(await again());
  });
  expect(lines.filter(({ level, fields }) => level === 'warn' && fields.code === 'bad-frame')).toHaveLength(1);
  expect(bitsOf(model)).toEqual(await quiet);
});

test('an evaluation of 1e308 over 2^53 − 1 samples leaves the journal readable', async () => {
  const evaluate = () => ({ loss: 2, samples: 10 });
  const sites = { 'site-1': honest(0.01, { evaluate }), 'site-2': honest(-0.02, { evaluate }) };
  const { summary } = await runWith(
    {},
    async (peer) => {
      for (;;) {
        const next = await peer.next();
        if ('stop' in next) return peer.session.close();
        const { id, kind } = next.task;
        const wrong = { task: id, samples: 1, steps: 0, trainLoss: 0, evaluation: { loss: 1e308, samples: Number.MAX_SAFE_INTEGER } };
        if (kind === 'evaluate') expect((await refusal(peer.ask('evaluated', wrong))).message).toMatch(/refused at evaluation\.loss/);
        else await peer.ask('fail', { task: id, code: 'internal', message: 'no' });
      }
    },
    sites,
  );
  expect(summary.evaluations.map(({ loss }) => loss)).toEqual(summary.evaluations.map(() => 2));
  expect(summary.evaluations.length).toBeGreaterThan(0);
});

test.each([
  [
    'budget fingerprints: a thousand settings of its training',
    Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`m${i}`, 'x'])),
    /at most 64 fingerprints/,
  ],
  ['budget fingerprintText: a setting of a megabyte', { 'adapter.r': 'x'.repeat(2 ** 20) }, /a value has 1 to 128 characters/],
  ['a setting that a terminal obeys', { 'adapter.r': '\u001b[2J' }, /a value has 1 to 128 characters/],
])('%s is refused, and the round goes on', async (_, fingerprints, named) => {
  const { model } = await runWith({}, async (peer) => {
    const { id } = await firstTask(peer);
    expect((await refusal(peer.ask('about', { task: id, fingerprints }))).message).toMatch(named);
    await failOn(peer);
  });
  expect(bitsOf(model)).toEqual(await quiet);
});

test('the first answer counts where two come at once', async () => {
  const { lines } = await runWith({ rounds: 1 }, async (peer) => {
    for (;;) {
      const next = await peer.next();
      if ('stop' in next) return peer.session.close();
      const figures = (loss: number) => ({ task: next.task.id, samples: 1, steps: 0, trainLoss: 0, evaluation: { loss, samples: 1 } });
      if (next.task.kind === 'evaluate') await Promise.all([1, 5].map((loss) => peer.ask('evaluated', figures(loss))));
      else await peer.ask('fail', { task: next.task.id, code: 'internal', message: 'no' });
    }
  });
  expect(lines.filter(({ level }) => level === 'error').map(({ message }) => message)).toEqual(['no']);
});

test('budget reasonText: fail again and again, one line a task, with what a terminal would obey made visible', async () => {
  const { lines, summary } = await runWith({ rounds: 1 }, async (peer) => {
    const { id } = await firstTask(peer);
    const message = `\u001b]0;pwned\u0007\u202e${'x'.repeat(3_900)}`;
    for (let i = 0; i < 500; i++) await peer.ask('fail', { task: id, code: '\u009b31m', message });
    await failOn(peer);
  });
  const told = lines.filter(({ message }) => message.includes('pwned'));
  expect(told.length).toBeLessThanOrEqual(2);
  for (const { message, fields } of told) {
    expect(message).toContain('\\u001b]0;pwned\\u0007\\u202e');
    expect(message.length).toBeLessThan(1_200);
    expect(JSON.stringify(fields)).not.toMatch(/[\u0080-\u009f]/);
  }
  expect(summary.warnings.join('')).not.toMatch(/[\p{Cc}\p{Cf}]/u);
});

test('budget stepsTimesAsked: a flood of steps ends the session with one line, and the record stays small', async () => {
  const { lines, summary, run, model } = await runWith({}, async (peer, again) => {
    const { id } = await firstTask(peer);
    let step = 0;
    const flood = async (): Promise<void> => {
      for (;;) {
        const steps = Array.from({ length: 256 }, () => ({ step: ++step, loss: 1, learningRate: 1, tokens: 1 }));
        await peer.ask('progress', { task: id, steps, memory, alive: true });
      }
    };
    expect((await refusal(flood())).message).toMatch(/mallory reports too much: more than 100000 steps beyond its budget/);
    await peer.session.closed;
    await failOn(await again());
  });
  expect(lines.filter(({ level, message }) => level === 'warn' && /mallory reports/.test(message))).toHaveLength(2);
  expect(summary.warnings.filter((message) => message.startsWith('mallory reports more steps in train-1-mallory'))).toHaveLength(1);
  expect(await run.sizeBytes('metrics.jsonl')).toBeLessThan(2e6);
  expect(bitsOf(model)).toEqual(await quiet);
});

test('budget aliveTimes: a site that only says that it is alive does not hold the round', async () => {
  const { summary, model } = await runWith({ stragglerMs: 30_000, aliveMs: 4_000 }, async (peer) => {
    for (;;) {
      const next = await peer.next();
      if ('stop' in next) return peer.session.close();
      for (let i = 0; i < 20; i++) {
        await peer.ask('progress', { task: next.task.id, steps: [], memory, alive: true });
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  });
  expect(bitsOf(model)).toEqual(await quiet);
  expect(summary.warnings).toContain(
    'round 1 goes on without mallory: said for 4 s that it is at work, and advanced by no step and no byte',
  );
});

test('budget logLines: a site that reconnects again and again does not fill the log', async () => {
  const { lines } = await runWith({}, async (peer, again) => {
    for (let i = 0; i < 400; i++) await (await again()).session.close();
    await peer.session.close();
    await failOn(await again());
  });
  const about = lines.filter(({ fields }) => fields.site === 'mallory');
  expect(about.length).toBeLessThan(310);
  expect(about.map(({ message }) => message)).toContain(
    "more than 300 lines about mallory in a minute; the rest of this minute's are left out",
  );
});

test('a fault where a send ends is logged and counted, and ends that session alone', async () => {
  const { lines, summary, model } = await runWith(
    {},
    async (peer, again) => {
      const task = await firstTask(peer);
      const stream = await peer.retrieve(task.model?.whole.object as string);
      for await (const _ of stream.read());
      faults.on = true;
      await stream.confirm();
      expect((await peer.session.closed).message).toMatch(/it failed; its own log has the details/);
      faults.on = false;
      await failOn(await again());
    },
    undefined,
    () => {
      if (faults.on) throw new Error('no memory today');
      return memory;
    },
  );
  const message = 'the session of mallory ended by a fault of the server: no memory today';
  expect(lines.filter(({ level }) => level === 'error').map((line) => line.message)).toContain(message);
  expect(summary.warnings).toContain(message);
  expect(bitsOf(model)).toEqual(await quiet);
});

const faults = { on: false };
