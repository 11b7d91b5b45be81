// The crash rule for asynchronous rounds: a run that is cut off at any step ends with the bits of an
// undisturbed run in which the same updates came in the same order.
import { expect, test } from 'vitest';
import { memoryFolder } from '../../src/core/memory-folder.js';
import { randomStream } from '../../src/core/random.js';
import { openGlobalModel } from '../../src/server/global-models.js';
import { readJournal } from '../../src/server/journal.js';
import { Life, mortalFolder } from '../../src/testing/mortal-folder.js';
import { arrivals, conducted, jobOf, ROUNDS, sitesOf } from './in-order.js';
import { bitsOf, federate, valuesOf } from './scripted.js';

const CASES = [1, 2, 3].flatMap((seed) => ['fp32', 'u4'].map((quantize) => [seed, quantize] as const));

test.each(CASES)('cut off at any step it goes on with the order that came (seed %i, %s)', async (seed, quantize) => {
  const random = randomStream(seed, 'fedBuff', quantize);
  const run = memoryFolder('run');
  const own = Object.fromEntries(['a', 'b', 'c'].map((site) => [site, memoryFolder(site)]));
  let cuts = -1;
  for (let life = new Life(0); life.isOver || cuts < 0; ) {
    cuts++;
    life = new Life(20 + random.integer(60 + 40 * cuts));
    const folders = Object.fromEntries(Object.entries(own).map(([site, folder]) => [site, mortalFolder(folder, life)]));
    await federate(jobOf({ quantize }), sitesOf([0, 3, 25]), { run: mortalFolder(run, life), folders, stop: life.stop }).catch((error) => {
      if (!life.isOver) throw error;
    });
  }
  expect(cuts).toBeGreaterThan(3);
  const history = await readJournal(run);
  // What a slow site was asked can be fetched for as long as it is at work on it.
  expect(arrivals(history).filter(({ status }) => status !== 'done')).toEqual([]);
  const { sites, onEvent } = conducted(history, 3);
  const quiet = await federate(jobOf({ quantize }), sites, { onEvent });
  expect(arrivals(await readJournal(quiet.run))).toEqual(arrivals(history));
  expect(bitsOf(await valuesOf(await openGlobalModel(run, ROUNDS)))).toEqual(bitsOf(await quiet.master(ROUNDS)));
});
