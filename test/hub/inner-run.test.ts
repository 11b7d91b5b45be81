// A run inside another asks its sites what its owner is asked, and nobody twice after a crash.
import { afterEach, expect, test } from 'vitest';
import { referenceCodecs } from '../../src/codec/codec-table.js';
import { masterOf } from '../../src/codec/float32.js';
import { decodeModel } from '../../src/codec/quantize.js';
import { FedStreamError } from '../../src/core/errors.js';
import { silentLogger } from '../../src/core/log.js';
import { memoryFolder } from '../../src/core/memory-folder.js';
import type { Folder } from '../../src/core/storage.js';
import { memory } from '../../src/driver/memory.js';
import { Hub } from '../../src/hub/hub.js';
import { type InnerRun, openInnerRun } from '../../src/hub/inner-run.js';
import { parseJob } from '../../src/kit/kit.js';
import { runClient } from '../../src/site/client.js';
import { siteLink } from '../../src/site/site-link.js';
import type { StateDict } from '../../src/tensor/state-dict.js';
import type { Federation } from '../../src/workflow/federation.js';
import { modelOf, type ScriptedSite, someValues, trainerOf, valuesOf } from '../federation/scripted.js';

const SITES = ['a', 'b'];
const open: Hub[] = [];
const abort = new AbortController();
afterEach(async () => {
  for (const hub of open.splice(0)) await hub.close();
});

interface World {
  readonly run: Folder;
  readonly folders: Readonly<Record<string, Folder>>;
  readonly asked: string[];
}

function world(): World {
  return { run: memoryFolder('run'), folders: Object.fromEntries(SITES.map((site) => [site, memoryFolder(site)])), asked: [] };
}

async function start({ run, folders, asked }: World, more: Partial<ScriptedSite> = {}) {
  const driver = memory();
  const url = 'memory://inner';
  const hub = new Hub({ log: silentLogger });
  open.push(hub);
  const job = parseJob({ sites: SITES, rounds: 9, stragglerMs: 5_000, weights: 'equal', quantize: 'fp32' }, 'test');
  const common = { codecs: referenceCodecs, log: silentLogger, signal: abort.signal };
  const inner = await openInnerRun(hub, { ...common, job, run, files: {}, emit: () => {} });
  await hub.listen(driver, url);
  const sites = SITES.map((site, index) => {
    const folder = folders[site] as Folder;
    const link = siteLink({ ...common, driver, url, site, folder, retryMs: 200 });
    const trainer = trainerOf({
      learn: (given, round) => {
        asked.push(`${site} ${round}`);
        return Object.fromEntries(Object.entries(given).map(([name, values]) => [name, values.map((value) => value + index + 1)]));
      },
      ...more,
    });
    const ended = runClient({
      ...common,
      site,
      link,
      folder,
      memory: () => ({ rssBytes: 1, peakRssBytes: 1 }),
      makeTrainer: async () => trainer,
    }).finally(() => link.close());
    ended.catch(() => {});
    return ended;
  });
  return { hub, inner, sites };
}

const given = async (): Promise<StateDict> => decodeModel(masterOf(modelOf(someValues(1), 'F32')), referenceCodecs);

/** The first value of each site's result, in the order of names. */
async function train(federation: Federation, round: number): Promise<number[]> {
  const outcomes = await federation.gather({ kind: 'train', offer: await federation.offer(), round });
  const found: number[] = [];
  for (const outcome of outcomes)
    if (outcome.status === 'done') found.push((await valuesOf(outcome.reply.model as StateDict)).w?.[0] as number);
  return found;
}

const trained = (inner: InnerRun, round: number) =>
  inner.perform({ key: `round ${round}`, model: given }, (federation) => train(federation, round));

test('one task after the other, each once for its key, and an end that the sites hear', async () => {
  const place = world();
  const { inner, sites } = await start(place);
  const [first] = (await valuesOf(await given())).w as Float32Array;
  const expected = [Math.fround((first as number) + 1), Math.fround((first as number) + 2)];
  expect(await trained(inner, 1)).toEqual(expected);
  expect(await trained(inner, 1)).toEqual(expected);
  expect(place.asked).toHaveLength(2);
  expect(await trained(inner, 2)).toEqual(expected);
  expect(place.asked.slice(2).sort()).toEqual(['a 2', 'b 2']);
  await inner.stop('enough');
  expect(await Promise.all(sites)).toEqual(['enough', 'enough']);
  await expect(trained(inner, 3)).rejects.toMatchObject({ code: 'closed' });
});

test('a process that dies in the middle of a task is followed by one that asks only who had not answered', async () => {
  const place = world();
  let release = (): void => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  let first = true;
  const slow: ScriptedSite['learn'] = async (values, round) => {
    place.asked.push(`${round}`);
    if (place.asked.length === 2 && first) await held;
    return values;
  };
  const before = await start(place, { learn: slow });
  const lost = trained(before.inner, 1);
  lost.catch(() => {});
  await expect
    .poll(async () => (await place.run.list('rounds/round-0001')).filter((name) => name.endsWith('.result.json')), { timeout: 30_000 })
    .toHaveLength(1);
  await before.hub.close(new FedStreamError('closed', 'killed'));
  await expect(lost).rejects.toMatchObject({ code: 'closed' });
  first = false;
  release();
  await Promise.allSettled(before.sites);
  const after = await start(place, { learn: slow });
  expect(await trained(after.inner, 1)).toHaveLength(2);
  expect(place.asked.length).toBeLessThanOrEqual(3);
  await after.inner.stop('enough');
});

test('a task that fails ends no other, and a run whose sites never come can be stopped', async () => {
  const { inner } = await start(world());
  const failing = inner.perform({ key: 'wrong', model: given }, async () => {
    throw new FedStreamError('quorum', 'too few');
  });
  await expect(failing).rejects.toMatchObject({ code: 'quorum' });
  expect(await trained(inner, 1)).toHaveLength(2);
  await inner.stop('enough');
  const hub = new Hub({ log: silentLogger });
  open.push(hub);
  const job = parseJob({ sites: SITES, rounds: 9 }, 'test');
  const alone = await openInnerRun(hub, {
    codecs: referenceCodecs,
    log: silentLogger,
    signal: abort.signal,
    job,
    run: memoryFolder('alone'),
    files: {},
    emit: () => {},
  });
  const limited = alone.perform({ key: 'limited', model: given, waitMs: 20 }, async () => 0);
  await expect(limited).rejects.toMatchObject({ code: 'quorum', message: 'too few sites were there within 0.02 s' });
  const waiting = trained(alone, 1);
  waiting.catch(() => {});
  await alone.stop('nobody came');
  await expect(waiting).rejects.toMatchObject({ code: 'closed' });
});
