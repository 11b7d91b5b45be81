// Insiders with valid credentials say anything at all, in any order: the server goes on as if
// they did not.
import { afterAll, expect, test, vi } from 'vitest';
import { memoryFolder } from '../../src/core/memory-folder.js';
import { memory } from '../../src/driver/memory.js';
import { breadth } from '../breadth.js';
import { COVERED } from './model/covered.js';
import { Findings } from './model/findings.js';
import { type Epoch, type EpochResult, runEpoch } from './model/machine.js';
import { explain, FIRST, ONLY, SEED, usedBytes } from './model/replay.js';
import { LARGE, SETTINGS } from './model/settings.js';
import { movedTime } from './model/time.js';
import { Unforeseen } from './model/unforeseen.js';
import { Watchdog } from './model/watchdog.js';
import type { Place, Setting } from './model/world.js';

// One hasher, that is made once: all else of a run in memory goes on without waiting for the
// system.
vi.mock('hash-wasm', async (original) => {
  const actual = await original<typeof import('hash-wasm')>();
  const one = await actual.createXXHash128();
  return { ...actual, createXXHash128: async () => one };
});

const STEPS = Number(process.env.FEDSTREAM_HOSTILE_STEPS ?? breadth(100_000, 10_000));

const STEPS_AN_EPOCH = 5_000;
const ROUNDS_AN_EPOCH = 20;
/** Every so many epochs one has a large model, and fewer steps. */
const LARGE_EVERY = breadth(10, 2);
const LARGE_STEPS = 1_500;
/**
 * More memory than after the first epochs; a few hundred bytes kept for each step would be more.
 */
const MOST_GROWTH_BYTES = 16 * 2 ** 20;
/** What is still held for insiders that have left. */
const MOST_HELD_BYTES = 8 * 2 ** 20;
const SHRINK_MS = 120_000;
/** No step takes as long, on however busy a machine. */
const HANG_MS = 180_000;

function inMemory(): Place {
  return { driver: memory(), url: 'memory://model', folder: () => memoryFolder('run') };
}

const watchdog = new Watchdog(HANG_MS);
afterAll(() => watchdog.end());

const findings = new Findings();

function isLarge(number: number): boolean {
  return number % LARGE_EVERY === LARGE_EVERY - 1;
}

function epochOf(number: number, steps: readonly number[]): Epoch {
  const setting = isLarge(number) ? LARGE : (SETTINGS[number % SETTINGS.length] as Setting);
  return { seed: SEED, number, setting, steps, rounds: isLarge(number) ? 3 : ROUNDS_AN_EPOCH };
}

async function ran(epoch: Epoch, counts = findings): Promise<EpochResult> {
  const unforeseen = new Unforeseen();
  const time = movedTime();
  try {
    return await runEpoch(epoch, { findings: counts, unforeseen, usedBytes, time, place: inMemory(), watchdog });
  } finally {
    time.end();
    unforeseen.restore();
  }
}

/** Digests of all models when no insider ever connects. */
const quiet = new Map<string, Promise<EpochResult>>();
function quietly(number: number): Promise<EpochResult> {
  const epoch = epochOf(number, []);
  const known = quiet.get(epoch.setting.name) ?? ran(epoch, new Findings());
  quiet.set(epoch.setting.name, known);
  return known;
}

test(`whatever insiders say, in ${STEPS} steps`, { timeout: 600_000 + STEPS * 20 }, async () => {
  let base = Number.POSITIVE_INFINITY;
  for (let number = FIRST, left = ONLY ? 1 : STEPS; left > 0; number++) {
    const count = Math.min(left, isLarge(number) ? LARGE_STEPS : STEPS_AN_EPOCH);
    const epoch = epochOf(number, ONLY ?? Array.from({ length: count }, (_, step) => step));
    const result = await ran(epoch);
    const kindOf = async (only: readonly number[]) => (await ran({ ...epoch, steps: only }, new Findings())).failure?.kind;
    if (result.failure) await explain(epoch, result.failure, kindOf, SHRINK_MS, 'FEDSTREAM_HOSTILE_STEPS');
    expect(result.digests, 'other models than without insiders').toEqual((await quietly(number)).digests);
    expect(result.heldBytes, `held for insiders that have left, in epoch ${number}`).toBeLessThan(MOST_HELD_BYTES);
    left -= ONLY ? 1 : result.done;
    const used = await usedBytes();
    if (number === FIRST + SETTINGS.length) base = used;
    expect(used - base, `growth after epoch ${number}`).toBeLessThan(MOST_GROWTH_BYTES);
  }
  if (ONLY) return;
  const missing = COVERED.filter(([what, least]) => (findings.counts.get(what) ?? 0) < Math.floor((least * STEPS) / 100_000));
  expect(missing.map(([what, least]) => `${what}: ${findings.counts.get(what) ?? 0} of ${least}`)).toEqual([]);
});
