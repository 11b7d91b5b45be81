// LoRA's matrices through every codec: rank 16, and one of them all zeros at the start.
import { expect, test } from 'vitest';
import { memoryStateDict } from '../tensor/memory-state-dict.js';
import type { StateDict } from '../tensor/state-dict.js';
import { codecNames, parseCodecName } from './codec-name.js';
import { referenceCodecs } from './codec-table.js';
import { decodeModel, encodeModel } from './quantize.js';

const RANK = 16;
const WIDTH = 515;

/**
 * Largest error as a share of a block's largest value: half the widest gap of each code, and a
 * margin for coded scales.
 */
const WIDEST: Record<string, number> = {
  fp32: 0,
  fp16: 0.001,
  bf16: 0.008,
  blockwise8: 0.02,
  fp4: 0.2,
  nf4: 0.16,
  u1: 1,
  u2: 0.55,
  u3: 0.25,
  u4: 0.11,
  topk: 1,
};

async function valuesOf(model: StateDict): Promise<Map<string, Float32Array>> {
  const found = new Map<string, Float32Array>();
  for await (const { tensor, bytes } of model.chunks()) found.set(tensor.name, new Float32Array(bytes.slice().buffer));
  return found;
}

test.each(codecNames(referenceCodecs))('%s', async (name) => {
  const a = Float32Array.from({ length: RANK * WIDTH }, (_, i) => (i % 3 === 0 ? 0 : Math.sin(i * i) / 40));
  const model = memoryStateDict([
    { name: 'lora_A', dtype: 'F32', shape: [RANK, WIDTH], data: a },
    { name: 'lora_B', dtype: 'F32', shape: [WIDTH, RANK], data: new Float32Array(WIDTH * RANK) },
  ]);
  const decoded = await valuesOf(
    decodeModel(
      encodeModel(model, () => parseCodecName(name, referenceCodecs), referenceCodecs),
      referenceCodecs,
    ),
  );
  expect(decoded.get('lora_B')?.every((value) => value === 0)).toBe(true);
  const found = decoded.get('lora_A') as Float32Array;
  expect(found).toHaveLength(a.length);
  const zeros = [...a.keys()].filter((i) => a[i] === 0);
  if (!/^u\d$/.test(name)) expect(zeros.every((i) => found[i] === 0)).toBe(true);
  const widest = (WIDEST[name.replace('-nested', '')] as number) * (name.endsWith('-nested') ? 1.1 : 1);
  expect(Math.max(...found.map((value, i) => Math.abs(value - (a[i] as number))))).toBeLessThanOrEqual(widest / 40);
});
