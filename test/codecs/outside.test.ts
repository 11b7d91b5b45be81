// A codec of another package: its names and parameters, a job's policy, sizes, coded files, and a
// whole federation.
import { expect, test } from 'vitest';
import type { CodecTable } from '../../src/codec/codec.js';
import { codecLabel, codecNames, parseCodecName } from '../../src/codec/codec-name.js';
import { codecTable, codecTraits } from '../../src/codec/codec-rows.js';
import { codecOf, referenceCodecs } from '../../src/codec/codec-table.js';
import { codedSize } from '../../src/codec/sizes.js';
import { feedbackFor } from '../../src/filter/coding.js';
import { encodingByPolicy, isLossy, lossyBits } from '../../src/filter/policy.js';
import { kitWith, parseJob } from '../../src/kit/kit.js';
import type { Encoding } from '../../src/tensor/manifest.js';
import { encodeManifest, parseManifest } from '../../src/tensor/manifest-json.js';
import { memoryStateDict } from '../../src/tensor/memory-state-dict.js';
import { bitsOf, federate, type ScriptedSite, type Values } from '../federation/scripted.js';
import { lossyRunsRow, runsRow, stepsRow } from './outside-codecs.js';

const codecs: CodecTable = { ...referenceCodecs, stepsRow, runsRow, lossyRunsRow };
const matrix = { name: 'w', dtype: 'F32', shape: [64, 64], encoding: { codec: 'raw' } } as const;
const vector = { ...matrix, name: 'norm', shape: [4096] } as const;

test('its parameters follow its name', () => {
  expect(codecNames(codecs)).toEqual([...codecNames(referenceCodecs), 'steps', 'runs', 'sparse']);
  expect(parseCodecName('steps', codecs)).toEqual({ codec: 'steps', parameters: { levels: 100 } });
  for (const name of ['steps', 'steps:31', 'runs', 'nf4-nested:128', 'fp32'])
    expect(codecLabel(parseCodecName(name, codecs), codecs)).toBe(name);
  expect(codecLabel({ codec: 'steps' }, codecs)).toBe('steps');
});

test.each([
  ['steps:0', /behind steps may stand levels, a whole number from 1 to 127: as in steps:100/],
  ['steps:128', /whole number from 1 to 127/],
  ['steps:1.5', /whole number from 1 to 127/],
  ['steps:', /whole number from 1 to 127/],
  ['steps:0x10', /whole number from 1 to 127/],
  ['steps:1:2', /behind steps may stand levels/],
  ['runs:1', /runs takes no number/],
  ['steps-nested', /there is no codec "steps-nested"; the codecs are fp32, fp16, .* steps, runs, sparse/],
  ['nf4:48', /behind nf4 may stand block size, a power of two from 16 to 16384: as in nf4:64/],
])('%s is refused with the names that are allowed', (name, message) => {
  expect(() => parseCodecName(name, codecs)).toThrow(
    expect.objectContaining({ code: 'bad-argument', message: expect.stringMatching(message) }),
  );
});

test.each([
  [{ codec: 'steps', parameters: { levels: 128 } }, /levels 128 of steps is not a whole number from 1 to 127/],
  [{ codec: 'steps', parameters: { levels: 2, depth: 1 } }, /steps has no parameter "depth"/],
  [{ codec: 'steps', parameters: { constructor: 1 } }, /steps has no parameter "constructor"/],
  [{ codec: 'steps', parameters: { blockSize: 64 } }, /steps has no parameter "blockSize"/],
  [{ codec: 'steps', blockSize: 64 }, /steps has no block size 64/],
  [{ codec: 'nf4', parameters: { blockSize: 64 } }, /nf4 has no parameter "blockSize"/],
  [{ codec: 'steps', nested: true }, /steps has no nested scales/],
])('an invalid encoding is refused: %j', (encoding, message) => {
  expect(() => codecOf(codecs, encoding as unknown as Encoding)).toThrow(
    expect.objectContaining({ code: 'bad-manifest', message: expect.stringMatching(message) }),
  );
});

test.each([
  ['a name that is none', { 'no name': 1 }],
  ['too many', Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`p${i}`, 1]))],
  ['a text', { levels: '1' }],
  ['no number', { levels: null }],
  ['a list', [1]],
])('parameters in a manifest: %s', (_, parameters) => {
  const manifest = { tensors: [{ ...matrix, encoding: { codec: 'steps', parameters } }], chunkElements: 262_144, tied: {}, metadata: {} };
  expect(() => parseManifest(encodeManifest(manifest as never), 'a peer')).toThrow(expect.objectContaining({ code: 'bad-manifest' }));
});

test('parameters travel in a manifest', () => {
  const encoding = parseCodecName('steps:31', codecs);
  const manifest = { tensors: [{ ...matrix, encoding }], chunkElements: 262_144, tied: {}, metadata: {} };
  expect(parseManifest(encodeManifest(manifest), 'a peer')).toEqual(manifest);
});

test('a job is validated against the available codecs', () => {
  expect(parseJob({ quantize: { up: 'steps:31' } }, 'job.json', kitWith({ codecs })).quantize).toMatchObject({
    down: 'u4',
    up: 'steps:31',
  });
  const filters = { 'result-out': [{ type: 'quantize', codec: { names: { '*': 'runs' } } }] };
  expect(parseJob({ filters }, 'job.json', kitWith({ codecs })).filters?.['result-out']).toHaveLength(1);
  for (const job of [{ quantize: 'steps' }, { quantize: { up: { default: 'steps' } } }])
    expect(() => parseJob(job, 'job.json')).toThrow(/there is no codec "steps"; the codecs are fp32, fp16, .*, u4/);
  expect(() => parseJob({ filters }, 'job.json')).toThrow(/there is no codec "runs"/);
});

test('a policy and error feedback use its row', () => {
  expect(encodingByPolicy('steps', codecs)(matrix)).toEqual({ codec: 'steps', parameters: { levels: 100 } });
  expect(encodingByPolicy('steps', codecs)(vector)).toEqual({ codec: 'bf16' });
  expect(encodingByPolicy('runs', codecs)(vector)).toEqual({ codec: 'runs' });
  expect(['steps', 'runs', 'sparse', 'fp32', 'fp16'].map((name) => isLossy(name, codecs))).toEqual([true, false, true, false, true]);
  expect([lossyBits('steps', codecs), lossyBits('runs', codecs)]).toEqual([8, 32]);
  expect(feedbackFor({ down: 'u4', up: 'steps' }, codecs)(matrix)).toBe(true);
  expect(feedbackFor({ down: 'u4', up: 'runs', feedback: true }, codecs)(matrix)).toBe(false);
  expect(codecTraits(codecs, { codec: 'steps' }).bits).toBe(8);
});

test('its sizes: exact, or an upper bound if its codes vary', () => {
  const { manifest } = memoryStateDict([{ name: 'w', dtype: 'F32', shape: [1000], data: new Float32Array(1000) }]);
  expect(codedSize(manifest, { codec: 'steps' }, codecs)).toEqual({ codeBytes: 1000, scaleBytes: 4, mapBytes: 0 });
  expect(codedSize(manifest, { codec: 'runs' }, codecs)).toEqual({ codeBytes: 4000, scaleBytes: 2004, mapBytes: 0 });
});

test.each([
  ['a name with a dash', { ...stepsRow, name: 'my-steps' }],
  ['a name that means something else', { ...stepsRow, name: 'raw' }],
  ['a parameter without a default in its range', { ...stepsRow, parameters: [{ ...stepsRow.parameters[0], smallest: 101 }] }],
])('a table refuses a row with %s', (_, row) => {
  expect(() => codecTable(row as typeof stepsRow)).toThrow(expect.objectContaining({ code: 'bad-argument' }));
});

const learns = (step: (i: number, round: number) => number): ScriptedSite => ({
  learn: (given: Values, round) =>
    Object.fromEntries(Object.entries(given).map(([name, data]) => [name, data.map((value, i) => value + step(i, round))])),
});

const SITES = { a: learns((i, round) => 1e-3 * Math.sin(i + round)), b: learns((i, round) => -2e-3 * Math.cos(i * 3 + round)) };

/** The final model of two sites' training, in bits. */
async function trained(quantize: unknown, streaming: string): Promise<Record<string, string>> {
  const input = { quantize, streaming, rounds: 3 } as never;
  const { master } = await federate(input, SITES, { codecs });
  return bitsOf(await master(3));
}

test('a federation in lossless codecs equals one in float32, in every streaming mode', async () => {
  const expected = await trained('fp32', 'file');
  for (const streaming of ['regular', 'container', 'file']) expect(await trained('runs', streaming)).toEqual(expected);
});

test('a federation in codecs of another package: updates with error feedback, of fixed and of varying size', async () => {
  const expected = await trained({ up: 'steps' }, 'file');
  expect(expected).not.toEqual(await trained('fp32', 'file'));
  for (const streaming of ['regular', 'container']) expect(await trained({ up: 'steps' }, streaming)).toEqual(expected);
  const sparse = await trained('sparse', 'file');
  for (const streaming of ['regular', 'container']) expect(await trained('sparse', streaming)).toEqual(sparse);
});
