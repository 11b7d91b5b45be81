// The texts of a swarm's tasks: what is taken, and what is refused by name.
import { expect, test } from 'vitest';
import { BUDGETS } from '../core/budgets.js';
import { joinTextsSchema, readinessSchema, serveTextsSchema, swarmTexts } from './swarm.js';
import { resultSchema, taskSchema } from './task.js';

const verifier = JSON.stringify({ storedKey: '1'.repeat(64), serverKey: '2'.repeat(64) });
const ready = { verifier, held: 'a'.repeat(32), state: 'no', address: 'tcps://hospital-a.example.org:9100' };

test('an answer is read', () => {
  expect(swarmTexts(ready, readinessSchema, 'the answer')).toMatchObject({ verifier: { storedKey: '1'.repeat(64) }, state: 'no' });
});

test.each<[string, Record<string, string>, RegExp]>([
  ['a verifier that is none', { ...ready, verifier: '{"storedKey":1}' }, /the answer has a wrong text verifier/],
  ['JSON that is none', { ...ready, verifier: '{' }, /verifier: must be JSON/],
  ['a digest that is none', { ...ready, held: '../..' }, /text held/],
  ['an address with spaces and options', { ...ready, address: 'tcp://a:1 --flag' }, /text address: must be a URL/],
  ['an address with a user', { ...ready, address: 'https://a@b:1' }, /text address/],
  ['a certificate with anything behind it', { ...ready, certificate: '-----BEGIN CERTIFICATE-----\nabc\n<script>' }, /text certificate/],
  ['a text that nobody asked for', { ...ready, more: 'x' }, /wrong text/],
  ['nothing', {}, /wrong text verifier/],
])('%s is refused', (_, texts, message) => {
  expect(() => swarmTexts(texts, readinessSchema, 'the answer')).toThrow(message);
});

test('names of sites become names of nothing else', () => {
  const serve = { label: 'r1.1', job: '{"sites":["../a"]}', verifiers: '{}', next: '' };
  expect(() => swarmTexts(serve, serveTextsSchema, 'the task')).toThrow(/text job/);
  expect(() => swarmTexts({ label: 'r1.1', aggregator: '../a', address: 'tcp://a:1' }, joinTextsSchema, 'the task')).toThrow(/aggregator/);
});

test('budget taskTexts: the texts of a task are bounded together', () => {
  const task = { id: 't', kind: 'swarm-serve', round: 1, rounds: 1, evaluate: false };
  const half = 'x'.repeat(BUDGETS.taskTexts.limit / 2);
  expect(taskSchema.safeParse({ ...task, texts: { a: half, b: half } }).success).toBe(true);
  expect(taskSchema.safeParse({ ...task, texts: { a: half, b: `${half}x` } }).error?.issues[0]?.message).toMatch(
    /at most 2097152 characters/,
  );
});

test('budget answerTexts: the texts of an answer are bounded together', () => {
  const answer = { task: 't', samples: 1, steps: 0, trainLoss: 0 };
  const most = 'x'.repeat(BUDGETS.answerTexts.limit);
  expect(resultSchema.safeParse({ ...answer, texts: { a: most } }).success).toBe(true);
  expect(resultSchema.safeParse({ ...answer, texts: { a: most, b: 'x' } }).success).toBe(false);
  expect(resultSchema.safeParse({ ...answer, texts: { 'not a name': '' } }).success).toBe(false);
});
