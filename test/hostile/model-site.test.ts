// A server that is hostile says anything at all to its site, in any order: the site gives nothing
// away, and goes on as soon as its server is honest again.
import { afterAll, expect, test, vi } from 'vitest';
import { breadth } from '../breadth.js';
import { Findings } from './model/findings.js';
import { explain, FIRST, ONLY, SEED, usedBytes } from './model/replay.js';
import { SITE_COVERED } from './model/site-covered.js';
import { runSiteEpoch, type SiteEpoch, type SiteEpochResult } from './model/site-machine.js';
import { siteObjects } from './model/site-objects.js';
import type { SiteSetting } from './model/site-world.js';
import { movedTime } from './model/time.js';
import { Unforeseen } from './model/unforeseen.js';
import { Watchdog } from './model/watchdog.js';

// One hasher, that is made once: all else of a site in memory goes on without waiting for the
// system.
vi.mock('hash-wasm', async (original) => {
  const actual = await original<typeof import('hash-wasm')>();
  const one = await actual.createXXHash128();
  return { ...actual, createXXHash128: async () => one };
});

const STEPS = Number(process.env.FEDSTREAM_HOSTILE_SITE_STEPS ?? breadth(5_000, 2_000));

const STEPS_AN_EPOCH = 500;
/** More memory than after the first epochs. */
const MOST_GROWTH_BYTES = 16 * 2 ** 20;
const SHRINK_MS = 60_000;
/** No step takes as long, on however busy a machine. */
const HANG_MS = 120_000;

const SETTINGS: readonly SiteSetting[] = [
  { name: 'lies, from a file', job: {}, lies: true },
  { name: 'broken rules, from a file', job: {}, lies: false },
  { name: 'lies, coded while it is sent', job: { streaming: 'container' }, lies: true },
  { name: 'broken rules, in memory', job: { streaming: 'regular' }, lies: false },
];

/** Digests by the system, which are the only thing that a site waits for. */
let digesting = 0;
const { subtle } = crypto;
const digest = subtle.digest.bind(subtle);
vi.spyOn(subtle, 'digest').mockImplementation((...given) => {
  digesting++;
  return digest(...given).finally(() => digesting--);
});

async function settle(): Promise<void> {
  do await new Promise((resolve) => setImmediate(resolve));
  while (digesting > 0);
  await new Promise((resolve) => setImmediate(resolve));
}

const watchdog = new Watchdog(HANG_MS);
afterAll(() => watchdog.end());

const findings = new Findings();

async function ran(epoch: SiteEpoch, counts = findings): Promise<SiteEpochResult> {
  const objects = await siteObjects();
  const unforeseen = new Unforeseen();
  const time = movedTime();
  try {
    return await runSiteEpoch(epoch, { objects, findings: counts, unforeseen, time, watchdog, settle });
  } finally {
    time.end();
    unforeseen.restore();
  }
}

function epochOf(number: number, steps: readonly number[]): SiteEpoch {
  return { seed: SEED, number, setting: SETTINGS[number % SETTINGS.length] as SiteSetting, steps };
}

test(`whatever a server says, in ${STEPS} steps`, { timeout: 300_000 + STEPS * 20 }, async () => {
  const quiet = new Map<string, string | undefined>();
  let base = Number.POSITIVE_INFINITY;
  for (let number = FIRST, left = ONLY ? 1 : STEPS; left > 0; number++) {
    const steps = ONLY ?? Array.from({ length: Math.min(left, STEPS_AN_EPOCH) }, (_, step) => step);
    const epoch = epochOf(number, steps);
    const { name } = epoch.setting;
    if (!quiet.has(name)) quiet.set(name, (await ran({ ...epoch, steps: [] }, new Findings())).digest);
    const result = await ran(epoch);
    const kindOf = async (only: readonly number[]) => (await ran({ ...epoch, steps: only }, new Findings())).failure?.kind;
    if (result.failure) await explain(epoch, result.failure, kindOf, SHRINK_MS);
    expect(result.digest, `the model after epoch ${number}`).toMatch(/^[0-9a-f]{32}$/);
    expect(result.digest, 'another model than without a hostile server').toBe(quiet.get(name));
    left -= ONLY ? 1 : steps.length;
    const used = await usedBytes();
    if (number === FIRST + SETTINGS.length) base = used;
    expect(used - base, `growth after epoch ${number}`).toBeLessThan(MOST_GROWTH_BYTES);
  }
  if (ONLY) return;
  const missing = SITE_COVERED.filter(([what, least]) => (findings.counts.get(what) ?? 0) < Math.floor((least * STEPS) / 5_000));
  expect(missing.map(([what, least]) => `${what}: ${findings.counts.get(what) ?? 0} of ${least}`)).toEqual([]);
});
