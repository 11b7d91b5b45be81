// Whatever a peer sends and this side accepts can be read again from every file that it is written
// to: a property over the messages of sites, with the numbers and names of an attacker among them.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { memoryFolder } from '../../src/core/memory-folder.js';
import { readText } from '../../src/core/storage-text.js';
import { failSchema, progressSchema } from '../../src/exchange/protocol.js';
import { resultFigures } from '../../src/exchange/result-figures.js';
import { metricsSchema, type ResultFigures, type Task } from '../../src/exchange/task.js';
import { pack, unpack } from '../../src/frame/pack.js';
import type { EventBody } from '../../src/record/events.js';
import { SUMMARY_FILE } from '../../src/record/record-files.js';
import { openRunRecord, readRunRecord } from '../../src/record/run-record.js';
import { summarySchema } from '../../src/record/summary-schema.js';
import { readJournal, writeJournal } from '../../src/server/journal.js';
import { readGathered, readReplyState, writeGathered, writeReplyState } from '../../src/server/round-state.js';
import { dropResult, keepResult, keptResult, RESULT_SPOOL } from '../../src/site/kept-result.js';
import { spoolInfo } from '../../src/transfer/spool.js';
import { siteMean } from '../../src/workflow/site-mean.js';

const RUNS = { seed: 15, numRuns: 300 };

const EXTREMES = [
  0,
  1,
  -1,
  1e308,
  -1e308,
  1e100,
  1e101,
  5e-324,
  2 ** 53 - 1,
  2 ** 53,
  1e11,
  1e12,
  2 ** 50,
  Number.NaN,
  Infinity,
  -Infinity,
];
const number = fc.oneof({ weight: 4, arbitrary: fc.nat(1000) }, fc.double({ noNaN: true }), fc.constantFrom(...EXTREMES));
/** Mostly fine, so that many messages are taken whole. */
const mostly = (fine: fc.Arbitrary<number>) => fc.oneof({ weight: 15, arbitrary: fine }, number);
const samples = mostly(fc.constantFrom(1, 2, 1000, 1e11));
const count = mostly(fc.constantFrom(0, 1, 1000, 1e12));
const figure = mostly(fc.oneof(fc.constantFrom(0, -0, 1e100, -1e100, 5e-324), fc.double({ min: -1e100, max: 1e100, noNaN: true })));
const loss = mostly(fc.oneof(fc.constantFrom(0, 1e100, 5e-324), fc.double({ min: 0, max: 1e100, noNaN: true })));
const bytes = mostly(fc.constantFrom(0, 1, 2 ** 50));
const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom('saturated', '__proto__', 'constructor', '\u001b[2J', '\u202e', '\u2028'),
);
const names = fc.oneof({ weight: 8, arbitrary: fc.constantFrom('saturated', 'eval/loss', 'größe', '1') }, text);
const named = fc.array(fc.tuple(names, figure), { maxLength: 3 }).map((entries) => {
  const figures: Record<string, number> = {};
  for (const [name, value] of entries)
    Object.defineProperty(figures, name, { value, enumerable: true, writable: true, configurable: true });
  return figures;
});
const evaluation = fc.record({ loss, exactMatch: fc.option(mostly(fc.constantFrom(0, 0.1, 1)), { nil: undefined }), samples });
const result = fc.record(
  {
    task: fc.constant('train-1-a'),
    samples,
    steps: count,
    trainLoss: figure,
    evaluation: fc.option(evaluation, { nil: undefined }),
    counts: fc.option(named, { nil: undefined }),
    metrics: fc.option(named, { nil: undefined }),
    files: fc.option(fc.dictionary(fc.constantFrom('config.json', 'x'), text), { nil: undefined }),
    peakRssBytes: fc.option(bytes, { nil: undefined }),
  },
  { requiredKeys: ['task', 'samples', 'steps', 'trainLoss'] },
);
const step = fc.record({ step: mostly(fc.constantFrom(1, 7, 1e12)), loss: figure, learningRate: figure, tokens: count });
const report = fc.record({
  task: fc.constant('train-1-a'),
  steps: fc.array(step, { maxLength: 3 }),
  memory: fc.record({ rssBytes: bytes, peakRssBytes: bytes }),
  alive: fc.boolean(),
});

/** The value as this side gets it from the wire; undefined where it is refused. */
function accepted<T>(value: unknown, read: (bytes: Uint8Array) => T): T | undefined {
  try {
    return read(pack(value));
  } catch {
    return undefined;
  }
}

const figuresOf = (value: unknown): ResultFigures | undefined =>
  accepted(value, (bytes) => resultFigures(unpack(bytes, anything, 'it'), 'a'));

/** Takes what no schema has looked at. */
const anything = { safeParse: (data: unknown) => ({ success: true, data }) } as never as Parameters<typeof unpack<unknown>>[1];

/** JSON has no negative zero. */
const plain = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

const task: Task = { id: 'train-1-a', kind: 'train', round: 1, rounds: 1, evaluate: false };

describe('accepted figures', () => {
  test('are enough of all to prove something', () => {
    let taken = 0;
    fc.assert(
      fc.property(result, (value) => {
        if (figuresOf(value)) taken++;
      }),
      RUNS,
    );
    expect(taken).toBeGreaterThan(100);
    expect(taken).toBeLessThan(RUNS.numRuns);
  });

  test('come back from the state of a reply and from a kept result', async () => {
    await fc.assert(
      fc.asyncProperty(result, async (value) => {
        const figures = figuresOf(value);
        if (!figures) return;
        const folder = memoryFolder('rounds');
        await writeReplyState(folder, task.id, { figures, objectId: 'x' });
        expect(plain((await readReplyState(folder, task.id))?.figures)).toEqual(plain(figures));
        const spool = await folder.create(RESULT_SPOOL);
        await spool.write(new Uint8Array(10), 0);
        await spool.close();
        await keepResult(folder, task, figures, (await spoolInfo(folder, RESULT_SPOOL)).digest);
        expect(plain((await keptResult(folder, task))?.figures)).toEqual(plain(figures));
        await dropResult(folder);
      }),
      RUNS,
    );
  });

  test('have a mean that the journal can say', async () => {
    const site = fc.array(evaluation, { minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(site, async (values) => {
        const outcomes = values.flatMap((found, i) => {
          const figures = figuresOf({ task: 't', samples: 1, steps: 0, trainLoss: 0, evaluation: found });
          return figures ? [{ site: `s${i}`, status: 'done', reply: { site: `s${i}`, figures, extras: {} } } as const] : [];
        });
        const mean = siteMean(outcomes);
        if (outcomes.length === 0) {
          expect(mean).toBeUndefined();
          return;
        }
        expect(metricsSchema.omit({ samples: true }).safeParse({ loss: mean?.loss, exactMatch: mean?.exactMatch }).success).toBe(true);
        const folder = memoryFolder('run');
        const entry = { round: 0, model: 'global/x', evaluation: mean as never };
        await writeJournal(folder, [entry]);
        expect(plain(await readJournal(folder))).toEqual(plain([entry]));
      }),
      RUNS,
    );
  });

  test('and reports, failures and reasons come back from the files of a record', async () => {
    const reason = fc.record({ task: fc.constant('t'), code: text, message: text });
    await fc.assert(
      fc.asyncProperty(fc.array(result, { maxLength: 3 }), fc.array(report, { maxLength: 3 }), reason, async (results, reports, why) => {
        const folder = memoryFolder('run');
        const record = await openRunRecord(folder);
        const emit = (event: EventBody): void => record.emit(event);
        for (const value of results) {
          const figures = figuresOf(value);
          if (!figures) continue;
          const { trainLoss, samples, steps, counts, metrics } = figures;
          emit({ type: 'site-result', site: 'a', round: 1, trainLoss, samples, steps, counts, metrics });
          if (figures.evaluation) emit({ type: 'evaluation', round: 1, ...figures.evaluation });
        }
        for (const value of reports) {
          const taken = accepted(value, (bytes) => unpack(bytes, progressSchema, 'it'));
          for (const one of taken?.steps ?? []) emit({ type: 'step', site: 'a', round: 1, ...one });
          if (taken) emit({ type: 'memory', process: 'a', ...taken.memory });
        }
        const failure = accepted(why, (bytes) => unpack(bytes, failSchema, 'it'));
        if (failure) {
          emit({ type: 'warning', message: `round 1 goes on without a: ${failure.message}` });
          await writeGathered(folder, 0, [{ site: 'a', status: 'failed', reason: failure.message }]);
          expect(await readGathered(folder, 0)).toEqual([{ site: 'a', status: 'failed', reason: failure.message }]);
        }
        emit({ type: 'round-finished', round: 1, seconds: 1, bytesDown: 1, bytesUp: 1 });
        const { wallSeconds: _, ...written } = record.summary();
        await record.close();
        const { wallSeconds: __, ...read } = (await readRunRecord(folder)).summary;
        expect(plain(read)).toEqual(plain(written));
        const stored = (await readText(folder, SUMMARY_FILE)) as string;
        expect(summarySchema.safeParse(JSON.parse(stored)).error).toBeUndefined();
        for (const file of ['events.jsonl', 'metrics.jsonl', SUMMARY_FILE])
          expect(((await readText(folder, file)) ?? '').replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
      }),
      RUNS,
    );
  });

  test('sums of the summary stay exact integers however many sites claim the most', () => {
    const folder = memoryFolder('run');
    return openRunRecord(folder).then(async (record) => {
      for (let i = 0; i < 10_000; i++) record.emit({ type: 'memory', process: `s${i}`, rssBytes: 2 ** 50, peakRssBytes: 2 ** 50 });
      for (let i = 1; i < 20_000; i++)
        record.emit({ type: 'step', site: 'a', round: 1, step: i, loss: 1e100, learningRate: 1, tokens: 1e12 });
      expect(summarySchema.safeParse(record.summary()).error).toBeUndefined();
      expect(record.series().loss.a?.y.every(Number.isFinite)).toBe(true);
      await record.close();
    });
  });
});
