// A result that the server has stored when the connection of its site breaks: the site sends it once
// more, and it counts.
import { expect, test } from 'vitest';
import { referenceCodecs } from '../../src/codec/codec-table.js';
import { FedStreamError } from '../../src/core/errors.js';
import { silentLogger } from '../../src/core/log.js';
import { memoryFolder } from '../../src/core/memory-folder.js';
import type { Folder } from '../../src/core/storage.js';
import type { Connection, Driver } from '../../src/driver/driver.js';
import { memory } from '../../src/driver/memory.js';
import { runServer } from '../../src/hub/server.js';
import { parseJob } from '../../src/kit/kit.js';
import { openGlobalModel, writeGlobalModel } from '../../src/server/global-models.js';
import { runClient } from '../../src/site/client.js';
import { siteLink } from '../../src/site/site-link.js';
import { modelOf, type ScriptedSite, trainerOf, valuesOf } from './scripted.js';

const URL = 'memory://server';

const site: ScriptedSite = {
  learn: (given) => Object.fromEntries(Object.entries(given).map(([name, data]) => [name, data.map((value, i) => value + Math.cos(i))])),
};

/** Calls `then` after each renaming to such a name in the folder, or in one below it. */
function whenRenamed(folder: Folder, name: RegExp, then: () => Promise<void>): void {
  const [rename, below] = [folder.rename.bind(folder), folder.folder.bind(folder)];
  folder.rename = async (from, to, options) => {
    await rename(from, to, options);
    if (name.test(to)) await then();
  };
  folder.folder = (inner) => {
    const found = below(inner);
    whenRenamed(found, name, then);
    return found;
  };
}

/** Runs one site; with `breaks`, its connection breaks as soon as the server has stored its first result. */
async function run(breaks: boolean) {
  const folder = memoryFolder('run');
  await writeGlobalModel(folder, 0, modelOf({ w: new Float32Array(64 * 48) }, 'F32'));
  const driver = memory();
  let open: Connection | undefined;
  let broken = 0;
  const watched: Driver = {
    ...driver,
    connect: async (url, options) => {
      open = await driver.connect(url, options);
      return open;
    },
  };
  if (breaks)
    // The state of an answer is written once its values are verified, just before the site is told.
    whenRenamed(folder, /train-1-a\.result\.json$/, async () => {
      if (broken++ > 0) return;
      await open?.close(new FedStreamError('closed', 'it breaks'));
      await new Promise((resolve) => setTimeout(resolve, 50));
    });
  const { signal } = new AbortController();
  const common = { codecs: referenceCodecs, log: silentLogger, signal };
  const job = parseJob({ rounds: 2, sites: ['a'], quantize: 'u4', idleMs: 5000 }, 'test');
  const clients: Promise<unknown>[] = [];
  const onListening = (): void => {
    const own = memoryFolder('a');
    const link = siteLink({ ...common, driver: watched, url: URL, site: 'a', folder: own, retryMs: 2000 });
    const memoryUse = () => ({ rssBytes: 1, peakRssBytes: 2 });
    const ended = runClient({ ...common, site: 'a', link, folder: own, memory: memoryUse, makeTrainer: async () => trainerOf(site) });
    clients.push(ended.finally(() => link.close()));
  };
  const result = await runServer({
    ...common,
    job,
    run: folder,
    listeners: [{ driver, url: URL }],
    files: {},
    emit: () => {},
    onListening,
  });
  await Promise.all(clients);
  return { result, broken, model: await valuesOf(await openGlobalModel(folder, 2)) };
}

test('a result that was stored before its connection broke counts when its site comes back', async () => {
  const quiet = await run(false);
  const { result, broken, model } = await run(true);
  expect(broken).toBeGreaterThan(0);
  expect(result).toEqual(quiet.result);
  expect(model).toEqual(quiet.model);
});
