// Texts of an offered model in its manifest: taken out again as they were, within their budget.
import { expect, test } from 'vitest';
import { BUDGETS } from '../core/budgets.js';
import type { Manifest } from './manifest.js';
import { takeTexts, textBytes, withTexts } from './noted-texts.js';

const manifest: Manifest = { tensors: [], chunkElements: 16_384, tied: {}, metadata: { format: 'pt' } };

test('texts come out as they went in, and leave the manifest as it was', () => {
  const texts = { 'config.json': '{"a":"ä\n"}' };
  expect(takeTexts(withTexts(manifest, texts))).toEqual({ manifest, texts });
  expect(takeTexts(manifest)).toEqual({ manifest, texts: {} });
});

test('budget offeredTextBytes: texts of that size are taken, larger ones and what is no texts are not', () => {
  const most = BUDGETS.offeredTextBytes.limit;
  const texts = { 'config.json': 'ä'.repeat(most / 2) };
  expect(textBytes(texts)).toBe(most);
  expect(takeTexts(withTexts(manifest, texts)).texts).toEqual(texts);
  expect(() => takeTexts(withTexts(manifest, { 'config.json': `${texts['config.json']}x` }))).toThrow(
    `the texts of an offered model cannot be used: they have ${most + 1} bytes; at most ${most} are taken`,
  );
  for (const note of ['[]', 'x', '{"a":1}', JSON.stringify(Object.fromEntries(Array.from({ length: 17 }, (_, index) => [index, ''])))])
    expect(() => takeTexts({ ...manifest, metadata: { 'fedstream.texts': note } })).toThrow('cannot be used');
});
