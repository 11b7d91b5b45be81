// A clipped update of a model that is large enough for threads: the same bits with any number of
// threads, and every reader gets its turn.
import { expect, test } from 'vitest';
import { CODEC_POOL, type CodecTable } from '../../src/codec/codec.js';
import { memoryFolder } from '../../src/core/memory-folder.js';
import { checkedJob } from '../../src/job/job.js';
import { nodeCodecPool } from '../../src/node/codec/codec-pool.js';
import { Residuals } from '../../src/site/residuals.js';
import { resultMessage } from '../../src/site/result-message.js';
import type { WriteResult } from '../../src/site/server-link.js';
import { memoryStateDict } from '../../src/tensor/memory-state-dict.js';
import type { StateDict } from '../../src/tensor/state-dict.js';

const SIDE = 2900; // some more than 2^23 elements: below that no thread is started

function model(seed: number): StateDict {
  const data = new Uint16Array(SIDE * SIDE);
  // bfloat16 between 1/8 and 1/4 of either sign.
  for (let i = 0; i < data.length; i++) data[i] = 0x3e00 | ((Math.imul(i + seed, 0x9e3779b1) >>> 16) & 0x807f);
  return memoryStateDict([{ name: 'w', dtype: 'BF16', shape: [SIDE, SIDE], data }]);
}

/** The digests of two rounds, the second with the residual of the first. */
async function digests(codecs: CodecTable): Promise<string[]> {
  const folder = memoryFolder('site');
  const residuals = new Residuals(folder.folder('residual'), 'run');
  const job = checkedJob({ sites: ['a'], quantize: 'u4', filters: { 'result-out': [{ type: 'clip', norm: 10 }] } }, 'test');
  const found: string[] = [];
  for (const round of [1, 2]) {
    const task = { id: `train-${round}`, kind: 'train', round, rounds: 2, evaluate: false };
    const write = await resultMessage(model(round), model(100), { task, job, site: 'a', codecs, residuals, count: () => {} });
    found.push((await (write as WriteResult)({ folder, name: 'result' })).digest);
  }
  return found;
}

test('two rounds of error feedback, clipped, on one thread and on three', async () => {
  const [one, three] = await Promise.all(
    [1, 3].map(async (threads) => {
      const pool = nodeCodecPool({ threads });
      try {
        return await digests({ ...pool.codecs, [CODEC_POOL]: () => pool });
      } finally {
        await pool.close();
      }
    }),
  );
  expect(three).toEqual(one);
  expect(new Set(one).size).toBe(2);
});
