// The benchmarks at a small size: their JSON, and that the data arrives. Times are not checked.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';

const program = fileURLToPath(new URL('../../bin/fedstream.mjs', import.meta.url));
const dir = mkdtempSync(join(tmpdir(), 'fedstream-bench-test-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function bench(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, 'bench', ...args], { encoding: 'utf8', timeout: 90_000 });
  return { status, stdout, stderr };
}

function figures(...args: string[]) {
  const ran = bench(...args, '--json');
  expect(ran.status, ran.stderr).toBe(0);
  expect(ran.stderr).toBe('');
  return JSON.parse(ran.stdout);
}

const positive = expect.toSatisfy((value: unknown) => typeof value === 'number' && value > 0);

test('codecs: every kernel, on one thread and on all', () => {
  const { copyGBps, copyAllGBps, threads, kernels } = figures('codecs', '--mb', '4');
  for (const figure of [copyGBps, copyAllGBps, threads]) expect(figure).toEqual(positive);
  for (const kernel of kernels)
    expect(kernel).toEqual({
      name: expect.any(String),
      threads: positive,
      streamGBps: positive,
      hotGBps: positive,
      referenceGBps: expect.any(Number),
    });
  const names = new Set(kernels.map(({ name }: { name: string }) => name));
  for (const codec of ['fp16', 'bf16', 'blockwise8', 'fp4', 'nf4', 'nf4-nested', 'u1', 'u2', 'u3', 'u4'])
    for (const work of ['encode', 'decode', 'accumulate']) expect(names).toContain(`${codec}.${work}`);
  expect(names).toContain('xxh3');
}, 90_000);

test("sizes: the paper's Table II to the second decimal", () => {
  const { rows } = figures('sizes', '--no-confirm');
  const row = (codec: string) => rows.find((one: { codec: string }) => one.codec === codec);
  expect(row('fp32')).toMatchObject({ modelMB: 5716.26, metaMB: 0, percentOfFp32: 100 });
  expect(row('fp16')).toMatchObject({ modelMB: 2858.13 });
  expect(row('blockwise8')).toMatchObject({ modelMB: 1429.06, metaMB: 1.54 });
  for (const codec of ['fp4', 'nf4']) expect(row(codec)).toMatchObject({ modelMB: 714.53, metaMB: 89.33 });
  expect(row('nf4-nested').percentOfFp32).toBe(12.9);
  for (const bits of [1, 2, 3, 4]) expect(row(`u${bits}`).percentOfFp32).toBeCloseTo((100 * (bits + 0.125)) / 32, 2);
});

test.each([
  ['file', 'fp32'],
  ['file', 'nf4'],
  ['container', 'nf4'],
  ['container', 'fp32'],
  ['regular', 'blockwise8'],
])('transfer: %s, %s arrives, with figures', (mode, codec) => {
  const moved = figures('transfer', '--scale', '0.002', '--mode', mode, '--codec', codec, '--dir', dir);
  expect(moved).toMatchObject({ mode, codec, driver: 'tcp', digestOk: true, modelBytes: positive, seconds: positive, cpSeconds: positive });
  expect(moved.sender.peakRssBytes).toBeGreaterThan(2e7);
  expect(moved.receiver.peakRssBytes).toBeGreaterThan(2e7);
  const share = moved.wireBytes / moved.modelBytes;
  const [least, most] = { fp32: [1, 1.01], nf4: [0.13, 0.16], blockwise8: [0.24, 0.27] }[codec] as [number, number];
  expect(share).toBeGreaterThan(least);
  expect(share).toBeLessThan(most);
  expect(readdirSync(dir)).toEqual([]);
});

test('reduce: one digest for every order of arrival and any number of threads', () => {
  const digests = new Set<string>();
  for (const [seed, threads] of [
    ['1', '1'],
    ['2', '2'],
    ['3', '3'],
  ] as const) {
    const reduced = figures('reduce', '--scale', '0.01', '--clients', '5', '--seed', seed, '--threads', threads, '--dir', dir);
    expect(reduced).toMatchObject({ clients: 5, codec: 'nf4', seconds: positive, decodedGBps: positive, peakRssBytes: positive });
    digests.add(reduced.digest);
  }
  expect(digests.size).toBe(1);
  expect(readdirSync(dir)).toEqual([]);
}, 60_000);

test('an unknown shape, mode or codec is one clear line', () => {
  expect(bench('transfer', '--model', 'gpt-5', '--dir', dir)).toMatchObject({ status: 2, stderr: expect.stringContaining('llama-3.2-1b') });
  expect(bench('transfer', '--codec', 'int3', '--dir', dir)).toMatchObject({ status: 2, stderr: expect.stringContaining('int3') });
  expect(bench('transfer', '--mode', 'both', '--dir', dir)).toMatchObject({ status: 2, stderr: expect.stringContaining('container') });
  expect(bench('reduce', '--codec', 'int3', '--dir', dir)).toMatchObject({ status: 2, stderr: expect.stringContaining('int3') });
});
