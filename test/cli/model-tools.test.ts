// The tools for model files, called as a user does.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { nodeFolder } from '../../src/node/storage/node-folder.js';
import { memoryStateDict } from '../../src/tensor/memory-state-dict.js';
import { writeModel } from '../../src/tensor/model-folder.js';

const program = fileURLToPath(new URL('../../bin/fedstream.mjs', import.meta.url));
let at = '';

function fedstream(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], { cwd: at, encoding: 'utf8', timeout: 30_000 });
  return { status, stdout, stderr };
}

const json = (...args: string[]) => {
  const ran = fedstream(...args, '--json');
  expect(ran.stderr).toBe('');
  return JSON.parse(ran.stdout);
};

beforeAll(async () => {
  at = mkdtempSync(join(tmpdir(), 'fedstream-tools-'));
  const weights = Float32Array.from({ length: 640 * 1000 }, (_, i) => Math.sin(i * i) / 10);
  const tensors = [
    { name: 'model.embed_tokens.weight', dtype: 'F32' as const, shape: [100, 64], data: weights.slice(0, 6400) },
    { name: 'layers.0.mlp.weight', dtype: 'F32' as const, shape: [640, 1000], data: weights },
    { name: 'layers.0.norm.weight', dtype: 'F32' as const, shape: [64], data: weights.slice(0, 64) },
  ];
  mkdirSync(join(at, 'model'));
  await writeModel(nodeFolder(join(at, 'model')), memoryStateDict(tensors), 1_000_000); // in shards
  writeFileSync(join(at, 'model/config.json'), '{"model_type":"llama"}');
  writeFileSync(join(at, 'model/tokenizer.json'), '{}');
});

afterAll(() => rmSync(at, { recursive: true }));

test('a sharded folder is coded, decoded and compared', () => {
  const done = json('quantize', 'model', 'small', '--codec', 'nf4', '--rule', '*norm*=fp32', '--min-elements', '100');
  expect(done).toMatchObject({ tensors: 3, modelBytes: 4 * (640_000 + 6400 + 64) });
  expect(done.outBytes).toBeLessThan(0.145 * done.modelBytes);
  expect(done.peakRssBytes).toBeGreaterThan(0);
  expect(readFileSync(join(at, 'small/config.json'), 'utf8')).toContain('llama');
  expect(existsSync(join(at, 'small/tokenizer.json'))).toBe(true);
  const { tensors, all } = json('compare', 'model', 'small');
  const norm = tensors.find(({ name }: { name: string }) => name.includes('norm'));
  expect(norm).toMatchObject({ mse: 0, snrDb: null, maxError: 0 });
  expect(all.snrDb).toBeGreaterThan(18);
  expect(fedstream('dequantize', 'small', 'back').status).toBe(0);
  expect(json('compare', 'small', 'back').all).toMatchObject({ mse: 0, maxError: 0, elements: 646_464 });
  expect(fedstream('compare', 'model', 'back').stdout).toMatch(/^tensor +elements +MSE +SNR dB +max error +relative L2\n/);
  expect(json('inspect', 'small').tensors).toHaveLength(3);
});

test('the bitsandbytes layout keeps what transformers keeps, and says so in config.json', () => {
  expect(fedstream('quantize', 'model', 'bnb', '--codec', 'nf4-nested', '--layout', 'bitsandbytes').status).toBe(0);
  const { quantization_config: config } = JSON.parse(readFileSync(join(at, 'bnb/config.json'), 'utf8'));
  expect(config).toMatchObject({ quant_method: 'bitsandbytes', bnb_4bit_quant_type: 'nf4', bnb_4bit_use_double_quant: true });
  const { tensors } = json('compare', 'model', 'bnb');
  const changed = tensors.filter(({ mse }: { mse: number }) => mse > 0).map(({ name }: { name: string }) => name);
  expect(changed).toEqual(['layers.0.mlp.weight']);
});

test.each([
  [['quantize', 'model', 'x.safetensors', '--codec', 'int3'], /no codec "int3"; the codecs are fp32, fp16/],
  [['quantize', 'model', 'x.safetensors', '--rule', 'norm'], /rule "norm" is not a pattern or a dtype and a codec/],
  [['quantize', 'model', 'x.safetensors', '--rule', '*=int3'], /no codec "int3"/],
  [['quantize', 'model', 'x.safetensors', '--dtype', 'F99=nf4'], /"F99" is no dtype/],
  [['quantize', 'model', 'x.safetensors', '--codec', 'blockwise8', '--layout', 'bitsandbytes'], /holds fp4 and nf4/],
  [['quantize', 'nothing', 'x.safetensors'], /no model at nothing/],
  [['quantize', 'small', 'x.safetensors'], /coded already/],
  [['dequantize', 'model', 'x.safetensors'], /not coded/],
  [['quantize', 'model/config.json', 'x.safetensors'], /config\.json/],
  [['compare', 'model', 'nothing'], /no model at nothing/],
  [['bench', 'make-model', 'gpt-9', 'x'], /no shape "gpt-9"/],
  [['bench', 'sizes', '--what'], /unknown option '--what'/],
])('%j gets one clear line, exit code 2 or 1, and leaves nothing behind', (args, line) => {
  const { status, stderr, stdout } = fedstream(...args);
  expect(stderr).toMatch(line);
  expect(stderr).not.toMatch(/\n\s+at /);
  expect([1, 2]).toContain(status);
  expect(stdout).toBe('');
  expect(existsSync(join(at, 'x.safetensors'))).toBe(false);
  expect(existsSync(join(at, 'x.safetensors.part'))).toBe(false);
});

test('a dtype has a codec of its own', () => {
  const { outBytes } = json('quantize', 'model', 'own.safetensors', '--codec', 'nf4', '--dtype', 'F32=bf16');
  expect(outBytes).toBeGreaterThan(2 * 646_464);
});

test('a NaN is named, and nothing is written', async () => {
  const data = new Float32Array(5000);
  data[4321] = Number.NaN;
  await writeModel(nodeFolder(join(at, 'nan')), memoryStateDict([{ name: 'w', dtype: 'F32', shape: [5000], data }]));
  const { status, stderr } = fedstream('quantize', 'nan', 'nan-out');
  expect(stderr).toContain('tensor w has NaN at element 4321');
  expect(status).toBe(1);
  expect(existsSync(join(at, 'nan-out/model.safetensors'))).toBe(false);
});

test("the size table is the paper's", () => {
  const { rows } = json('bench', 'sizes', '--no-confirm');
  const row = (codec: string) => rows.find((one: { codec: string }) => one.codec === codec);
  expect(row('fp32')).toMatchObject({ modelMB: 5716.26 });
  expect(row('fp16')).toMatchObject({ modelMB: 2858.13, percentOfFp32: 50 });
  expect(row('blockwise8')).toMatchObject({ modelMB: 1429.06, metaMB: 1.54 });
  expect(row('fp4')).toMatchObject({ modelMB: 714.53, metaMB: 89.33, percentOfFp32: 14.06 });
  expect(row('nf4')).toMatchObject({ modelMB: 714.53, metaMB: 89.33, percentOfFp32: 14.06 });
  expect(row('nf4-nested')).toMatchObject({ percentOfFp32: 12.9 });
});
