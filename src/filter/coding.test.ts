// A job's `quantize`: its short forms, each field by itself, and invalid values.
import { expect, test } from 'vitest';
import { referenceCodecs } from '../codec/codec-table.js';
import { broadcastsUpdates, sendsUpdates, wholeBits } from './chain.js';
import { type Coding, codingLabel, feedbackFor, quantizeSchema } from './coding.js';
import { encodingByPolicy } from './policy.js';

const coding = (value: unknown): Coding => quantizeSchema(referenceCodecs).parse(value);
const matrix = { name: 'w', dtype: 'F32', shape: [64, 64], encoding: { codec: 'raw' } } as const;
const vector = { ...matrix, name: 'norm', shape: [4096] } as const;
const small = { ...matrix, name: 'small', shape: [4, 4] } as const;

test('short forms', () => {
  expect(coding('nf4')).toEqual({ down: 'nf4', up: 'nf4' });
  expect(coding('lean')).toEqual({ down: 'u4', up: 'u1' });
  expect(coding('paper')).toEqual({ first: 'nf4', down: 'nf4', up: 'nf4', whole: true });
  expect(coding('paper:fp16')).toEqual({ first: 'fp16', down: 'fp16', up: 'fp16', whole: true });
  expect(coding({ first: 'base' })).toEqual({ first: 'base', down: 'u4', up: 'u4' });
  const policy = { default: 'nf4', names: { '*norm*': 'fp32' }, dtypes: {}, minElements: 0 };
  expect(coding({ default: 'nf4', names: { '*norm*': 'fp32' } })).toEqual({ down: policy, up: policy });
});

test('what comes out goes in again', () => {
  for (const value of ['u4', 'lean', 'paper:fp4', { first: 'raw', down: 'u2', up: { default: 'u1' }, feedback: true }])
    expect(coding(coding(value))).toEqual(coding(value));
});

test.each([
  ['u9', /there is no codec "u9"/],
  ['paper:x', /there is no codec "x"/],
  [{ firs: 'base' }, /firs: unknown field; it has first, down, up, whole, feedback/],
  [{ first: 'bas' }, /must be "base", "raw", a codec \(fp32, fp16/],
  [{ up: { default: 'q' } }, /there is no codec "q"/],
  [5, /must be a codec, lean, paper:<codec>, a policy/],
])('%j is refused in one line', (value, message) => {
  const { error } = quantizeSchema(referenceCodecs).safeParse(value);
  expect(error?.issues.map((issue) => issue.message).join('; ')).toMatch(message);
});

test('a wrong codec is told once', () => {
  expect(quantizeSchema(referenceCodecs).safeParse('u9').error?.issues).toHaveLength(1);
});

test('labels', () => {
  const labels = ['u4', 'fp32', 'lean', 'paper:fp16', { down: 'u4', up: 'u2' }, { first: 'nf4', down: 'nf4', up: 'nf4' }];
  expect(labels.map((value) => codingLabel(coding(value)))).toEqual(['u4', 'fp32', 'lean', 'paper:fp16', 'u4/u2', 'nf4, first nf4']);
});

test('which way sends updates', () => {
  const ways = (value: unknown, more = {}) => {
    const settings = { quantize: coding(value), ...more };
    return [broadcastsUpdates(settings, referenceCodecs), sendsUpdates(settings, referenceCodecs), wholeBits(settings, referenceCodecs)];
  };
  expect(ways('u4')).toEqual([true, true, undefined]);
  expect(ways('fp32')).toEqual([false, false, undefined]);
  expect(ways('paper:nf4')).toEqual([false, false, 4]);
  expect(ways('nf4', { delta: false })).toEqual([false, false, 4]);
  expect(ways({ down: 'fp32', up: 'u1' })).toEqual([false, true, undefined]);
  expect(ways('u4', { filters: { 'task-out': [{ type: 'exclude', patterns: ['x'] }] } })).toEqual([false, true, 4]);
});

test('error feedback is on where it pays, and where it is asked for', () => {
  const on = (value: unknown) => feedbackFor(coding(value), referenceCodecs)(matrix);
  expect(['blockwise8', 'nf4', 'fp4', 'u3', 'u4'].map(on)).toEqual([true, true, true, true, true]);
  expect(['fp32', 'fp16', 'bf16', 'u1', 'u2', 'lean'].map(on)).toEqual([false, false, false, false, false, false]);
  expect(on({ up: 'u1', feedback: true })).toBe(true);
  expect(on({ up: 'u4', feedback: false })).toBe(false);
  expect(feedbackFor(coding('u4'), referenceCodecs)(vector)).toBe(false);
});

test('vectors travel in bfloat16 where the codec has fewer than 8 bits, unless a rule names them', () => {
  expect(encodingByPolicy('u4', referenceCodecs)(vector)).toEqual({ codec: 'bf16' });
  expect(encodingByPolicy('blockwise8', referenceCodecs)(vector).codec).toBe('blockwise8');
  expect(encodingByPolicy('u4', referenceCodecs)(small)).toEqual({ codec: 'raw' });
  const named = { default: 'u4', names: { norm: 'nf4' }, dtypes: {}, minElements: 0 };
  expect(encodingByPolicy(named, referenceCodecs)(vector).codec).toBe('nf4');
});
