// A server that goes away while its sites train: they train on, deliver once it is back, and end where it does not come back.
import { expect, test } from 'vitest';
import { referenceCodecs } from '../../src/codec/codec-table.js';
import { FedStreamError } from '../../src/core/errors.js';
import { silentLogger } from '../../src/core/log.js';
import { memoryFolder } from '../../src/core/memory-folder.js';
import type { Folder } from '../../src/core/storage.js';
import { memory } from '../../src/driver/memory.js';
import { runServer } from '../../src/hub/server.js';
import { parseJob } from '../../src/kit/kit.js';
import { openGlobalModel, writeGlobalModel } from '../../src/server/global-models.js';
import { runClient } from '../../src/site/client.js';
import { siteLink } from '../../src/site/site-link.js';
import { modelOf, type ScriptedSite, trainerOf, valuesOf } from './scripted.js';

const URL = 'memory://server';
const SITES = ['a', 'b'];
const driver = memory();

/** Something that happens once, and can be waited for. */
function happening() {
  let happened: () => void = () => {};
  const promise = new Promise<void>((resolve) => {
    happened = resolve;
  });
  return { promise, happened: () => happened() };
}

/** Runs the server over the run in this folder until it is killed: its sites are told nothing. */
function serve(run: Folder, sites: readonly string[] = ['a']) {
  const kill = new AbortController();
  const listening = happening();
  const job = parseJob({ rounds: 2, sites: [...sites], quantize: 'fp32', idleMs: 2000 }, 'test');
  const common = { codecs: referenceCodecs, log: silentLogger, signal: kill.signal };
  const ended = runServer({
    ...common,
    job,
    run,
    listeners: [{ driver, url: URL }],
    files: {},
    emit: () => {},
    onListening: listening.happened,
  });
  ended.catch(() => {});
  const killed = async (): Promise<void> => {
    kill.abort(new FedStreamError('closed', 'killed'));
    await ended.catch(() => {});
  };
  return { listening: listening.promise, ended, kill: killed };
}

async function newRun(): Promise<Folder> {
  const run = memoryFolder('run');
  await writeGlobalModel(run, 0, modelOf({ w: new Float32Array(64 * 48) }, 'F32'));
  return run;
}

function join(site: string, scripted: ScriptedSite, retryMs: number) {
  const stop = new AbortController();
  const lines: string[] = [];
  const log = { ...silentLogger, warn: (_: unknown, line: string) => void lines.push(line) };
  const common = { codecs: referenceCodecs, driver, url: URL, log, signal: stop.signal, site, folder: memoryFolder(site) };
  const link = siteLink({ ...common, retryMs });
  const trainer = trainerOf(scripted);
  const ended = runClient({ ...common, link, memory: () => ({ rssBytes: 1, peakRssBytes: 2 }), makeTrainer: async () => trainer });
  const closed = ended.finally(() => link.close());
  closed.catch(() => {});
  return { ended: closed, lines, stop, link };
}

const plusOne: ScriptedSite['learn'] = ({ w }) => ({ w: (w as Float32Array).map((value) => value + 1) });

test('a server is killed in training and started again: each site has trained once a round, and the result is whole', async () => {
  const run = await newRun();
  const first = serve(run, SITES);
  await first.listening;
  const training = Object.fromEntries(SITES.map((site) => [site, happening()]));
  const back = happening();
  const trained: string[] = [];
  const sites = SITES.map((site) =>
    join(
      site,
      {
        async learn(given, round) {
          trained.push(`${site}-${round}`);
          if (round === 1) {
            training[site]?.happened();
            await back.promise;
          }
          return plusOne(given, round);
        },
      },
      60_000,
    ),
  );
  await Promise.all(SITES.map((site) => training[site]?.promise));
  await first.kill();
  const second = serve(run, SITES);
  await second.listening;
  back.happened();
  expect(await second.ended).toMatchObject({ lastRound: 2 });
  for (const { ended } of sites) expect(await ended).toMatch(/\w/);
  expect(trained.sort()).toEqual(['a-1', 'a-2', 'b-1', 'b-2']);
  const { w } = await valuesOf(await openGlobalModel(run, 2));
  expect([...new Set(w)]).toEqual([2]);
});

test('a server that does not come back ends its sites in training: the training is stopped, and the reason told', async () => {
  const run = await newRun();
  const server = serve(run);
  await server.listening;
  const begun = happening();
  let stopped: unknown;
  const waits: ScriptedSite = {
    learn: async (_given, _round, task) => {
      begun.happened();
      await new Promise<void>((resolve) => task?.signal.addEventListener('abort', () => resolve()));
      stopped = task?.signal.reason;
      throw new FedStreamError('aborted', 'the training was stopped');
    },
  };
  const { ended, lines, link } = join('a', waits, 300);
  await begun.promise;
  await server.kill();
  await expect(ended).rejects.toMatchObject({ code: 'closed', message: expect.stringMatching(/nobody listens.*in vain for 0\.[34] s/) });
  expect(stopped).toMatchObject({ code: 'closed' });
  expect(lines.filter((line) => line.includes('looking for the server'))).toHaveLength(1);
  await expect(link.next()).rejects.toMatchObject({ code: 'closed' });
});

test('a server that has another run when it is back is not given the results of the first', async () => {
  const first = serve(await newRun());
  await first.listening;
  const begun = happening();
  const back = happening();
  const slow: ScriptedSite = {
    async learn(given, round) {
      begun.happened();
      await back.promise;
      return plusOne(given, round);
    },
  };
  const { ended } = join('a', slow, 60_000);
  await begun.promise;
  await first.kill();
  const second = serve(await newRun());
  await second.listening;
  back.happened();
  await expect(ended).rejects.toMatchObject({ code: 'refused', message: expect.stringMatching(/has another run now.*--resume/) });
  await second.kill();
});

test('a stop of the site ends its search at once', async () => {
  const server = serve(await newRun());
  await server.listening;
  const { ended, stop, lines } = join('a', { learn: plusOne }, Number.POSITIVE_INFINITY);
  await server.kill();
  while (!lines.some((line) => line.includes('looking for the server until it is there')))
    await new Promise((resolve) => setTimeout(resolve, 5));
  const sentMs = performance.now();
  stop.abort(new FedStreamError('aborted', 'Ctrl-C'));
  await expect(ended).rejects.toMatchObject({ code: 'aborted', message: 'Ctrl-C' });
  expect(performance.now() - sentMs).toBeLessThan(1000);
});
