// The same over sockets, with a run on disk: fewer steps, in real time.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { tcp } from '../../src/node/drivers/tcp.js';
import { nodeFolder } from '../../src/node/storage/node-folder.js';
import { breadth } from '../breadth.js';
import { Findings } from './model/findings.js';
import { type EpochResult, runEpoch } from './model/machine.js';
import { realTime } from './model/time.js';
import { Unforeseen } from './model/unforeseen.js';

const STEPS = Number(process.env.FEDSTREAM_HOSTILE_TCP_STEPS ?? breadth(2_000, 500));
const SEED = Number(process.env.FEDSTREAM_HOSTILE_SEED ?? 1);
const SETTING = {
  name: 'over tcp',
  job: { quantize: 'u4', stragglerMs: 3_000 },
  shapes: { w: [16, 12], norm: [40] },
  idleMs: 20_000,
} as const;
const ROUNDS = 4;

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

async function ran(count: number, findings: Findings): Promise<EpochResult> {
  const unforeseen = new Unforeseen();
  const path = mkdtempSync(join(tmpdir(), 'fedstream-model-'));
  folders.push(path);
  const place = { driver: tcp(), url: 'tcp://127.0.0.1:0', folder: () => nodeFolder(path), tokens: true };
  const epoch = { seed: SEED, number: 0, setting: SETTING, steps: Array.from({ length: count }, (_, step) => step), rounds: ROUNDS };
  try {
    return await runEpoch(epoch, { findings, unforeseen, usedBytes: async () => 0, time: realTime(), place });
  } finally {
    unforeseen.restore();
  }
}

test(`over tcp, whatever insiders say, in ${STEPS} steps`, { timeout: 300_000 + STEPS * 100 }, async () => {
  const findings = new Findings();
  const { failure, digests } = await ran(STEPS, findings);
  expect(failure, `seed ${SEED}`).toBeUndefined();
  expect(digests).toEqual((await ran(0, new Findings())).digests);
  for (const what of ['confirmed', 'task done', 'task failed', 'fetched whole', 'bye bad-frame', 'bye refused', 'refuse refused'])
    expect(findings.counts.get(what) ?? 0, what).toBeGreaterThan(0);
});
