// The model that counts in the end: a quorum must agree on it, and whoever does not is named.
import { expect, test } from 'vitest';
import { silentLogger } from '../core/log.js';
import type { EventBody } from '../record/events.js';
import type { Federation, Outcome } from './federation.js';
import { judged } from './swarm-outcomes.js';

const digest = (letter: string): string => letter.repeat(32);

function done(site: string, held: string, metrics: Record<string, number> = {}): Outcome {
  const figures = { task: 't', samples: 3, steps: 1, trainLoss: 0.5, counts: {}, metrics, texts: { held } };
  return { site, status: 'done', reply: { site, figures, extras: {} } };
}

function judge(outcomes: Outcome[], quorum = 2) {
  const events: EventBody[] = [];
  const federation = { round: 3, log: silentLogger, emit: (event: EventBody) => void events.push(event) } as unknown as Federation;
  const { held, agreed, refused } = judged(federation, outcomes, 'a', quorum);
  const warnings = events.flatMap((event) => (event.type === 'warning' ? [event.message] : []));
  return { held, agreed: agreed.map(({ site }) => site), refused, warnings, events };
}

test('all agree', () => {
  const { warnings, events, ...found } = judge([
    done('a', digest('1'), { 'swarm.down': 700, 'swarm.downFp32': 900 }),
    done('b', digest('1')),
  ]);
  expect(found).toEqual({ held: digest('1'), agreed: ['a', 'b'], refused: [] });
  expect(warnings).toEqual([]);
  expect(events.map(({ type }) => type)).toEqual(['site-result', 'transfer', 'site-result']);
  expect(events[1]).toMatchObject({ site: 'a', direction: 'down', bytes: 700, fp32Bytes: 900 });
});

test('a site with another digest is named, and not counted', () => {
  const { held, agreed, warnings } = judge([done('a', digest('1')), done('b', digest('2')), done('c', digest('1'))]);
  expect([held, agreed]).toEqual([digest('1'), ['a', 'c']]);
  expect(warnings).toEqual([expect.stringMatching(/^b is refused in round 3: .*2{32}, and the others have 1{32}$/)]);
});

test('an aggregator that gives each site another model is refused', () => {
  const { held, refused, warnings } = judge([done('a', digest('1')), done('b', digest('2')), done('c', digest('3'))]);
  expect([held, refused]).toEqual([undefined, ['a']]);
  expect(warnings).toHaveLength(3);
});

test('a quorum counts, whatever the aggregator says', () => {
  const silent: Outcome = { site: 'a', status: 'silent', reason: 'was not connected for 3 s' };
  expect(judge([silent, done('b', digest('1')), done('c', digest('1'))])).toMatchObject({ held: digest('1'), refused: [] });
  expect(judge([done('a', digest('2')), done('b', digest('1')), done('c', digest('1'))])).toMatchObject({
    held: digest('1'),
    refused: ['a'],
  });
  expect(judge([silent, done('b', digest('1'))])).toMatchObject({ held: undefined, refused: [] });
});

test('an answer without a digest is none', () => {
  const { held, warnings } = judge([done('a', digest('1')), done('b', 'a digest'), done('c', digest('1'))]);
  expect(held).toBe(digest('1'));
  expect(warnings).toEqual([expect.stringMatching(/goes on without b: .*wrong text held/)]);
});
