// A site offers the initial model with the texts of its folder: small ones travel in a header, large
// ones in the manifest, and the run has them either way.
import { expect, test } from 'vitest';
import { runSite } from '../../src/api/run-site.js';
import { referenceCodecs } from '../../src/codec/codec-table.js';
import { silentLogger } from '../../src/core/log.js';
import { memoryFolder } from '../../src/core/memory-folder.js';
import { readText } from '../../src/core/storage-text.js';
import { memory } from '../../src/driver/memory.js';
import { runServer } from '../../src/hub/server.js';
import { builtInKit, parseJob, workflowOf } from '../../src/kit/kit.js';
import { BASE_FOLDER, openGlobalModel } from '../../src/server/global-models.js';
import { modelOf, someValues, trainerOf, valuesOf } from './scripted.js';

const START = someValues(3);

async function offering(files: Record<string, string>) {
  const run = memoryFolder('run');
  const shared = {
    codecs: referenceCodecs,
    driver: memory(),
    url: 'memory://server',
    log: silentLogger,
    signal: new AbortController().signal,
  };
  const job = parseJob({ trainer: { name: 'own' }, model: 'offered', sites: ['a'], rounds: 1, quantize: 'fp32' }, 'test', builtInKit);
  const trainer = { ...trainerOf({ learn: (given) => given }), offer: async () => ({ model: modelOf(START, 'F32'), files }) };
  const site = {
    ...shared,
    filters: builtInKit.filters,
    policy: { filters: [], share: { errors: true, steps: true } },
    site: 'a',
    folder: memoryFolder('a'),
    memory: () => ({ rssBytes: 1, peakRssBytes: 1 }),
    makeTrainer: async () => trainer,
  };
  let ended: Promise<unknown> = Promise.resolve();
  const onListening = (): void => {
    ended = runSite(site);
    ended.catch(() => {});
  };
  const server = {
    ...shared,
    job,
    run,
    workflow: workflowOf(job, builtInKit),
    files: {},
    emit: () => {},
    listeners: [shared],
    onListening,
  };
  await runServer(server);
  await ended;
  const model = await openGlobalModel(run, 1);
  return { run, values: await valuesOf(model), metadata: model.manifest.metadata };
}

test.each([
  ['a few KiB', 4_000],
  ['as much as the header of a frame takes', 32_768 - 20],
  ['more than a header takes', 60_000],
  ['almost a MiB', 1_000_000],
])('texts of %s', async (_, size) => {
  const text = JSON.stringify({ id2label: 'x'.repeat(size) });
  const { run, values, metadata } = await offering({ 'config.json': text, 'generation_config.json': '{}' });
  expect(await readText(run, `${BASE_FOLDER}/config.json`)).toBe(text);
  expect(await readText(run, `${BASE_FOLDER}/generation_config.json`)).toBe('{}');
  expect(values).toEqual(START);
  expect(Object.keys(metadata)).not.toContain('fedstream.texts');
});
