// Runs a federation in this process: a real server, real sites, filters, streams and the built-in
// trainer, over the memory driver.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '../../dist/core/log.js';
import { memoryFolder } from '../../dist/core/memory-folder.js';
import { memory } from '../../dist/driver/memory.js';
import { runServer } from '../../dist/hub/server.js';
import { siteNames } from '../../dist/job/job.js';
import { parseJob } from '../../dist/kit/kit.js';
import { nodeCodecs } from '../../dist/node/codec/codecs.js';
import { processMemory } from '../../dist/node/process/memory.js';
import { prepareRun } from '../../dist/node/run/prepare-run.js';
import { readModelTexts, writeModelFolder } from '../../dist/node/run/run-files.js';
import { nodeFolder } from '../../dist/node/storage/node-folder.js';
import { makeTrainer } from '../../dist/node/trainer/make-trainer.js';
import { runClient } from '../../dist/site/client.js';
import { siteLink } from '../../dist/site/site-link.js';
import { lyingTrainer } from './lying-trainer.mjs';

const URL = 'memory://server';

/**
 * Runs `job` on `data` ({bySite, validation}); returns evaluations, transfers and seconds.
 * `keep(runPath)` may copy the run folder before it is removed. With `liar` ({site, lie}) that site
 * sends lies, and a round may go on without it.
 */
export async function federate(job, data, { keep = async () => {}, liar } = {}) {
  const runPath = mkdtempSync(join(tmpdir(), 'fedstream-study-'));
  const startedMs = performance.now();
  try {
    const prepared = await prepareRun(parseJob(job, 'the study'), runPath, data);
    const events = await run(prepared, runPath, data, liar);
    await writeModelFolder(runPath, 'model', prepared.rounds);
    await keep(join(runPath, 'model'));
    return { ...figures(events), seconds: (performance.now() - startedMs) / 1000 };
  } finally {
    rmSync(runPath, { recursive: true, force: true });
  }
}

async function run(job, runPath, { bySite, validation }, liar) {
  const stop = new AbortController();
  const common = { codecs: nodeCodecs(), log: silentLogger, driver: memory(), url: URL, signal: stop.signal };
  const files = await readModelTexts(runPath);
  // One thread each: the benchmark fills the cores with runs, not with the threads of one run.
  const trainer = { files, threads: 1, log: silentLogger };
  const evaluator = await makeTrainer({ ...trainer, job, training: [], validation });
  const events = [];
  const clients = [];
  const site = async (name) => {
    const folder = memoryFolder(name);
    const link = siteLink({ ...common, site: name, folder, retryMs: 500 });
    const make = async (joined) => {
      const own = { job: joined.job, training: bySite.get(name), validation: [], stateFolder: folder.folder('state') };
      const honest = await makeTrainer({ ...trainer, ...own });
      return liar?.lie && liar.site === name ? lyingTrainer(honest, liar.lie, job.seed) : honest;
    };
    try {
      await runClient({ ...common, site: name, link, folder, memory: processMemory, makeTrainer: make });
    } finally {
      await link.close();
    }
  };
  /** A study has no use for a quorum: a site that fails ends the run. */
  const onListening = () => {
    for (const name of siteNames(job)) clients.push(site(name).catch((error) => stop.abort(error)));
  };
  try {
    const emit = (event) => events.push(event);
    await runServer({ ...common, listeners: [common], job, run: nodeFolder(runPath), files, evaluator, emit, onListening });
    await Promise.all(clients);
  } finally {
    await evaluator.close();
  }
  // A round without a site would be another study. Other warnings are expected in some arms.
  const without = events.find(({ type, message }) => type === 'warning' && message.includes('goes on without'));
  if (without && !(liar && without.message.includes(`goes on without ${liar.site}:`))) throw new Error(without.message);
  return events;
}

/**
 * Losses in full precision, and bytes on the wire; the rounds after the first are counted
 * separately.
 */
function figures(events) {
  const evaluations = events.filter(({ type }) => type === 'evaluation');
  const losses = evaluations.filter(({ held }) => !held).map(({ loss }) => loss);
  const held = evaluations.find((one) => one.held)?.loss;
  const transfers = events.filter(({ type }) => type === 'transfer');
  const sum = (of, field = 'bytes') => of.reduce((total, one) => total + one[field], 0);
  const [down, up] = ['down', 'up'].map((direction) => transfers.filter((one) => one.direction === direction));
  const later = (of) => of.filter(({ round }) => round > 1);
  const [initial, ...rounds] = losses;
  return {
    initial,
    ...(held !== undefined && { held }),
    rounds,
    final: rounds.at(-1),
    bytes: {
      down: sum(down),
      up: sum(up),
      fp32Down: sum(down, 'fp32Bytes'),
      fp32Up: sum(up, 'fp32Bytes'),
      laterDown: sum(later(down)),
      laterUp: sum(later(up)),
      fp32LaterDown: sum(later(down), 'fp32Bytes'),
      fp32LaterUp: sum(later(up), 'fp32Bytes'),
    },
  };
}
