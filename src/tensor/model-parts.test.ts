// Layers are striped over the parts, the rest goes where there is least, and parts make the model again.
import { expect, test } from 'vitest';
import { memoryStateDict } from './memory-state-dict.js';
import { joinedParts, partManifest, partOf, partsOf } from './model-parts.js';

const model = memoryStateDict(
  [
    ['model.embed_tokens.weight', 40],
    ['model.layers.0.w', 10],
    ['model.layers.1.w', 10],
    ['model.layers.2.w', 10],
    ['model.layers.3.w', 10],
    ['model.layers.4.w', 10],
    ['model.norm.weight', 2],
  ].map(([name, count]) => ({
    name: name as string,
    dtype: 'F32',
    shape: [count as number],
    data: new Float32Array(count as number).fill(count as number),
  })),
  { tied: { 'lm_head.weight': 'model.embed_tokens.weight' }, metadata: { a: 'b' } },
);

test('layer l is in part l mod p, and the rest where there is least', () => {
  expect(partsOf(model.manifest, 2).map((names) => [...names])).toEqual([
    ['model.layers.0.w', 'model.layers.2.w', 'model.layers.4.w', 'model.norm.weight'],
    ['model.layers.1.w', 'model.layers.3.w', 'model.embed_tokens.weight'],
  ]);
  expect(partsOf(model.manifest, 1).map((names) => names.size)).toEqual([7]);
});

test('a part keeps order, ties and metadata; joined they are the model', async () => {
  const parts = partsOf(model.manifest, 3).map((names) => partOf(model, names));
  expect(parts.map(({ manifest }) => manifest.tensors.length)).toEqual([3, 2, 2]);
  const last = parts[2]?.manifest;
  expect(last).toEqual(partManifest(model.manifest, 3, 3));
  expect(last?.tied).toEqual({ 'lm_head.weight': 'model.embed_tokens.weight' });
  expect(parts[0]?.manifest).toMatchObject({ tied: {}, metadata: { a: 'b' } });
  const joined = joinedParts(parts);
  expect(joined.manifest.tied).toEqual(model.manifest.tied);
  const found: string[] = [];
  for await (const { tensor, bytes } of joined.chunks())
    found.push(`${tensor.name} ${bytes.length / 4} ${new Float32Array(bytes.slice().buffer)[0]}`);
  expect(found.sort()).toEqual(model.manifest.tensors.map(({ name, shape }) => `${name} ${shape[0]} ${shape[0]}`).sort());
});

test('a part without a tensor is refused', () => {
  expect(() => partsOf(model.manifest, 9)).toThrow('9 parts are too many for this model: nothing is left for part 8');
});
