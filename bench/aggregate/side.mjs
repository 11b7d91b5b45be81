// The measured process of bench/aggregate.mjs: a workflow over a federation whose sites have answered
// already. The store of models is the server's own.
import { decodeModel } from '../../dist/codec/quantize.js';
import { silentLogger } from '../../dist/core/log.js';
import { randomStream } from '../../dist/core/random.js';
import { builtInKit, parseJob, workflowOf } from '../../dist/kit/kit.js';
import { nodeCodecs } from '../../dist/node/codec/codecs.js';
import { peakRssBytes } from '../../dist/node/process/memory.js';
import { nodeFolder } from '../../dist/node/storage/node-folder.js';
import { RunModels } from '../../dist/server/model-store.js';
import { openSafetensors } from '../../dist/tensor/safetensors.js';
import { openSpool } from '../../dist/transfer/spool.js';
import { processBytes } from '../check/process-bytes.mjs';

const { work, folder, name, results, sites, rounds, sync } = JSON.parse(process.argv.at(-1));
const disk = nodeFolder(work);
const codecs = nodeCodecs();
const choice = name.startsWith('{') ? JSON.parse(name) : { type: name };
const field = (table) => builtInKit[table].some((row) => row.name === choice.type);
const chosen = field('aggregators') ? { aggregator: choice } : field('workflows') ? { workflow: choice } : { algorithm: choice.type };
const job = parseJob({ rounds, sites, quantize: results, ...chosen }, 'the benchmark', builtInKit);

const run = sync ? nodeFolder(folder) : unsynced(nodeFolder(folder));
const initial = await openSafetensors(disk, 'model.safetensors');
const history = [];
const models = new RunModels(run, history);
await (await models.write('model', initial)).close();
const spools = new Map(await Promise.all(sites.map(async (site) => [site, await openSpool(disk, `${results}-${site}`, codecs)])));
const seconds = [];
const cpuSeconds = [];
const movedBytes = [];
let answeredMs = 0;
let answeredBytes = 0;
let answeredCpu = process.cpuUsage();

const commit = async () => {
  history.push(await models.entry());
  models.committed();
  await models.prune([], []);
  if (history.length <= 2) return;
  const { user, system } = process.cpuUsage(answeredCpu);
  seconds.push(rounded((performance.now() - answeredMs) / 1000));
  cpuSeconds.push(rounded((user + system) / 1e6));
  movedBytes.push(bytesOfFiles() - answeredBytes);
};

/** What this process has read and written so far; NaN where the system does not count it. */
function bytesOfFiles() {
  const { readBytes, writtenBytes } = processBytes() ?? {};
  return readBytes + writtenBytes;
}

/** Every site has answered with its spool, and with one more for each extra that it is asked for. */
const gather = async (task, { sites: asked = sites } = {}) => {
  const isUpdate = results !== 'fp32';
  const base = isUpdate ? await models.open('model') : undefined;
  answeredMs = performance.now();
  answeredCpu = process.cpuUsage();
  answeredBytes = bytesOfFiles();
  return asked.map((site, index) => {
    const ask = typeof task === 'function' ? task(site) : task;
    const figures = {
      task: 't',
      samples: 100 + index,
      steps: 10 + index,
      trainLoss: 1 + index / 10,
      counts: {},
      metrics: {},
      evaluation: { loss: 1 + index / 10, samples: 10 },
    };
    const extras = Object.fromEntries(Object.keys(ask.returnsExtras ?? {}).map((extra) => [extra, decodeModel(spools.get(site), codecs)]));
    return { site, status: 'done', reply: { site, figures, model: spools.get(site), isUpdate, base, extras, norm: 1 } };
  });
};

const federation = {
  job,
  sites,
  models,
  history,
  codecs,
  log: silentLogger,
  signal: new AbortController().signal,
  evaluate: async () => undefined,
  random: (...labels) => randomStream(job.seed, ...labels),
  connected: () => sites,
  sample: () => ({ sites, quorum: sites.length }),
  offer: async () => ({ model: {}, held: await models.open('model'), exact: true }),
  gather,
  ask: async (site, task) => (await gather(task, { sites: [site] }))[0].reply,
  commit,
  note: async () => {},
  noteSites: async () => {},
  emit: () => {},
  get round() {
    return models.round;
  },
};
await workflowOf(job, builtInKit)(federation);
process.stdout.write(`${JSON.stringify({ seconds, cpuSeconds, movedBytes, peakRssBytes: peakRssBytes() })}\n`);
process.exit(0);

function rounded(seconds) {
  return Number(seconds.toFixed(3));
}

/** The folder, without waiting for the disk. */
function unsynced(of) {
  const create = async (...given) => {
    const file = await of.create(...given);
    return { write: (...what) => file.write(...what), sync: () => {}, close: () => file.close() };
  };
  const methods = ['open', 'rename', 'remove', 'sizeBytes', 'list', 'folder', 'space'];
  return { label: of.label, create, ...Object.fromEntries(methods.map((method) => [method, (...given) => of[method](...given)])) };
}
