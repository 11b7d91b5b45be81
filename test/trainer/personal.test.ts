// The built-in trainer's state at a site whose rounds are uneven: personal models (Ditto), rounds that it
// missed, results that were refused, and rounds that the clock ends.
import { expect, test } from 'vitest';
import { memoryFolder } from '../../src/core/memory-folder.js';
import type { Folder } from '../../src/core/storage.js';
import { openSafetensors } from '../../src/tensor/safetensors.js';
import { inMemory, tensorsOf, tinyModel, tinyTask, tinyTrainer } from './tiny.js';

const figures = { lambda: 0.5 };

async function personalOf(folder: Folder, round: number): Promise<Map<string, Float32Array>> {
  return tensorsOf(await openSafetensors(folder, `personal-${round}.safetensors`));
}

test('the personal model is that of FedProx around the received model, from where it stood', async () => {
  const folder = memoryFolder();
  const trainer = await tinyTrainer({ stateFolder: folder, run: 'a' });
  const [first, second] = [await tinyModel(3), await tinyModel(4)];
  const one = await trainer.train(tinyTask({ figures }), first);
  // In the first round it begins with the global model, so FedProx with mu gives it.
  const prox = await tinyTrainer();
  const expected = await tensorsOf((await prox.train(tinyTask({ figures: { mu: 0.5 } }), first)).model);
  expect(await personalOf(folder, 1)).toEqual(expected);
  expect(one.personal).toMatchObject({ samples: 2, loss: expect.any(Number) });
  expect(one.personal).toEqual(
    await prox.evaluate(await inMemory(await openSafetensors(folder, 'personal-1.safetensors')), new AbortController().signal),
  );
  const before = await personalOf(folder, 1);
  await trainer.train(tinyTask({ round: 2, figures }), second);
  const after = await personalOf(folder, 2);
  // It has moved from where it stood, and is not the global model's.
  for (const [name, values] of after) {
    expect(values).not.toEqual(before.get(name));
    expect(values).not.toEqual((await tensorsOf(second)).get(name));
  }
  await Promise.all([trainer.close(), prox.close()]);
});

test('the global model of a site with a personal one has the bits of a site without', async () => {
  const [folder, plainFolder] = [memoryFolder(), memoryFolder()];
  const trainer = await tinyTrainer({ stateFolder: folder });
  const plain = await tinyTrainer({ stateFolder: plainFolder });
  for (const round of [1, 2, 3]) {
    const given = await tinyModel(round);
    const result = await trainer.train(tinyTask({ round, figures }), given);
    expect(await tensorsOf(result.model)).toEqual(await tensorsOf((await plain.train(tinyTask({ round }), given)).model));
  }
  await Promise.all([trainer.close(), plain.close()]);
});

test('a crash in any round gives the same personal model; another run does not go on with it', async () => {
  const straight = memoryFolder();
  const trainer = await tinyTrainer({ stateFolder: straight, run: 'a' });
  for (const round of [1, 2, 4]) await trainer.train(tinyTask({ round, figures }), await tinyModel(round));
  await trainer.close();
  const cut = memoryFolder();
  for (const round of [1, 2, 2, 4, 4]) {
    const again = await tinyTrainer({ stateFolder: cut, run: 'a' });
    await again.train(tinyTask({ round, figures }), await tinyModel(round));
    await again.close();
  }
  expect(await personalOf(cut, 4)).toEqual(await personalOf(straight, 4));
  expect((await cut.list()).filter((name) => name.startsWith('personal-'))).toEqual([
    'personal-2.safetensors',
    'personal-4.safetensors',
    'personal-optimizer-2.safetensors',
    'personal-optimizer-4.safetensors',
  ]);
  const [other, fresh] = [await tinyTrainer({ stateFolder: cut, run: 'b' }), await tinyTrainer({ stateFolder: memoryFolder(), run: 'b' })];
  const given = await tinyModel(5);
  const [a, b] = [await other.train(tinyTask({ round: 5, figures }), given), await fresh.train(tinyTask({ round: 5, figures }), given)];
  expect(a.personal).toEqual(b.personal);
  await Promise.all([other.close(), fresh.close()]);
});

test('the optimizer goes on after rounds that the site missed, in memory and after a restart', async () => {
  const [folder, alone] = [memoryFolder(), memoryFolder()];
  const trainer = await tinyTrainer({ stateFolder: folder });
  await trainer.train(tinyTask(), await tinyModel());
  const kept = await trainer.train(tinyTask({ round: 3 }), await tinyModel());
  const values = await tensorsOf(kept.model);
  await trainer.close();
  const again = await tinyTrainer({ stateFolder: folder });
  expect(await tensorsOf((await again.train(tinyTask({ round: 3 }), await tinyModel())).model)).toEqual(values);
  const fresh = await tinyTrainer({ stateFolder: alone });
  expect(await tensorsOf((await fresh.train(tinyTask({ round: 3 }), await tinyModel())).model)).not.toEqual(values);
  await Promise.all([again.close(), fresh.close()]);
});

test('the control variate of a result that was refused does not count', async () => {
  const folder = memoryFolder();
  const trainer = await tinyTrainer({ stateFolder: folder });
  const control = await inMemory(await tinyModel(9), (value) => value / 100);
  const extras = { control };
  await trainer.train(tinyTask({ extras }), await tinyModel());
  await trainer.forget?.(1);
  expect((await folder.list()).filter((name) => name.startsWith('control'))).toEqual([]);
  await trainer.close();
});

test('a round ends with its time, and says how many steps and samples it had', async () => {
  const trainer = await tinyTrainer({ localSteps: 1_000_000, localSeconds: 0.05 });
  const reported: number[] = [];
  const { steps } = await trainer.train(tinyTask({ round: 2, onStep: ({ step }) => reported.push(step) }), await tinyModel());
  expect(steps).toBeGreaterThan(0);
  expect(steps).toBeLessThan(1_000_000);
  expect(reported[0]).toBe(1_000_001);
  expect(reported.length).toBe(steps);
  expect(trainer.samplesIn?.(1, 1)).toBe(2);
  expect(trainer.samplesIn?.(1)).toBe(4);
  await trainer.close();
});
