// Measures the server's memory over a long run: many rounds of a large model over TCP.
import { fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { positiveNumber, wholeNumber } from '../dist/cli/options.js';
import { runServer } from '../dist/hub/server.js';
import { parseJob } from '../dist/kit/kit.js';
import { nodeCodecs } from '../dist/node/codec/codecs.js';
import { tcp } from '../dist/node/drivers/tcp.js';
import { processMemory } from '../dist/node/process/memory.js';
import { nodeFolder } from '../dist/node/storage/node-folder.js';
import { readTokenFile, readTokenVerifiers, writeTokens } from '../dist/node/tls/token-files.js';
import { writeGlobalModel } from '../dist/server/global-models.js';
import { runClient } from '../dist/site/client.js';
import { siteLink } from '../dist/site/site-link.js';
import { benchCommand } from './command.mjs';

const CHUNK = 262_144;
const quiet = { debug() {}, info() {}, warn: say, error: say };

function say(_fields, message) {
  process.stderr.write(`${message}\n`);
}

/** A model of ten tensors of seeded noise, made while they are read. */
function noiseModel(megabytes) {
  const elements = Math.round((megabytes * 2 ** 20) / 40);
  const tensors = Array.from({ length: 10 }, (_, i) => ({ name: `w${i}`, dtype: 'F32', shape: [elements], encoding: { codec: 'raw' } }));
  const manifest = { tensors, chunkElements: CHUNK, tied: {}, metadata: {} };
  return withNoise({ manifest, chunks: zeros(manifest) }, 1, 0.02);
}

function zeros({ tensors }) {
  return async function* chunks() {
    const bytes = new Uint8Array(CHUNK * 4);
    let index = 0;
    for (const [tensorIndex, tensor] of tensors.entries())
      for (let firstElement = 0; firstElement < tensor.shape[0]; firstElement += CHUNK) {
        const elements = Math.min(CHUNK, tensor.shape[0] - firstElement);
        yield { tensor, tensorIndex, index: index++, firstElement, elements, bytes: bytes.subarray(0, elements * 4) };
      }
  };
}

/** Takes the place of training, without its time: every value moves a little, by the seed. */
function withNoise(model, seed, scale) {
  const noise = Float32Array.from({ length: 4096 }, (_, i) => Math.sin((i + 1) * seed) * scale);
  const values = new Float32Array(CHUNK);
  async function* chunks(range) {
    for await (const chunk of model.chunks(range)) {
      new Uint8Array(values.buffer).set(chunk.bytes);
      for (let i = 0; i < chunk.elements; i++) values[i] += noise[(i + chunk.index) & 4095];
      yield { ...chunk, bytes: new Uint8Array(values.buffer, 0, chunk.elements * 4) };
    }
  }
  return { manifest: model.manifest, chunks };
}

function trainer(seed) {
  return {
    async train({ round, onStep }, model) {
      onStep({ step: round, loss: 1 / round, learningRate: 1, tokens: 1 });
      return { model: withNoise(model, seed * 100 + round, 0.001), samples: 100 + seed, steps: 1, trainLoss: 1 / round };
    },
    evaluate: async () => undefined,
    close: async () => {},
  };
}

async function server({ job, folder, mb }) {
  const run = nodeFolder(join(folder, 'run'));
  await writeGlobalModel(run, 0, noiseModel(mb));
  const emit = (event) => {
    if (event.type === 'round-finished') process.send({ round: event.round, seconds: event.seconds, ...processMemory() });
    if (event.type === 'warning') process.stderr.write(`${event.message}\n`);
  };
  const admission = { tokens: readTokenVerifiers(join(folder, 'tokens.json')) };
  const common = { job, run, files: {}, admission, codecs: nodeCodecs(), log: quiet };
  const listeners = [{ driver: tcp(), url: 'tcp://127.0.0.1:0' }];
  await runServer({ ...common, listeners, emit, signal: new AbortController().signal, onListening: (url) => process.send({ url }) });
}

async function client({ site, seed, url, folder }) {
  const own = nodeFolder(join(folder, site));
  const signal = new AbortController().signal;
  const credentials = readTokenFile(join(folder, 'tokens', `${site}.token`), site);
  const link = siteLink({ site, driver: tcp(), url, credentials, codecs: nodeCodecs(), folder: own, log: quiet, signal });
  const options = { site, link, codecs: nodeCodecs(), log: quiet, folder: own, signal, memory: processMemory };
  await runClient({ ...options, makeTrainer: async () => trainer(seed) });
  await link.close();
}

/** Starts a role in a process of its own; `onMessage` gets its messages. */
function start(role, settings, onMessage = () => {}) {
  const child = fork(new URL(import.meta.url), ['--role', role, JSON.stringify(settings)]);
  child.on('message', onMessage);
  const ended = new Promise((resolve, reject) => {
    child.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`the ${role} ended with ${code}`))));
  });
  return { child, ended };
}

async function main() {
  const values = benchCommand(
    'soak.mjs',
    "A server and its clients over TCP, many rounds of a large model: what the server's memory does from round to round.",
    [['--rounds 5 --mb 50', 'a short one']],
  )
    .option('--rounds <number>', 'rounds', wholeNumber(1), 30)
    .option('--clients <number>', 'clients, a process each', wholeNumber(1, 64), 4)
    .option('--mb <number>', 'size of the model, MiB of fp32', positiveNumber, 200)
    .option('--codec <name>', 'of the messages', 'nf4')
    .option('--dir <folder>', 'where the run lies', tmpdir())
    .option('--json', 'print {rounds, …, figures} as JSON')
    .parse()
    .opts();
  const { rounds, clients, mb } = values;
  const sites = Array.from({ length: clients }, (_, i) => `site-${i + 1}`);
  const job = parseJob({ rounds, sites, quantize: values.codec, idleMs: 60_000 }, 'the soak');
  const folder = mkdtempSync(join(values.dir, 'fedstream-soak-'));
  const figures = [];
  const roles = [];
  try {
    await writeTokens(join(folder, 'tokens'), join(folder, 'tokens.json'), sites);
    const url = await new Promise((resolve, reject) => {
      const role = start('server', { job, folder, mb }, (message) => {
        if (message.url) resolve(message.url);
        else {
          figures.push(message);
          if (!values.json)
            process.stdout.write(
              `round ${message.round}: server ${(message.rssBytes / 1e6).toFixed(0)} MB, ${message.seconds.toFixed(1)} s\n`,
            );
        }
      });
      role.ended.catch(reject);
      roles.push(role);
    });
    roles.push(...sites.map((site, i) => start('client', { site, seed: i + 1, url, folder })));
    await Promise.all(roles.map(({ ended }) => ended));
  } finally {
    for (const { child } of roles) child.kill();
    rmSync(folder, { recursive: true, force: true });
  }
  const early = figures[Math.min(2, figures.length - 1)].rssBytes;
  const late = figures.at(-1).rssBytes;
  const result = { rounds, clients, modelMB: mb, codec: values.codec, round3RssBytes: early, lastRssBytes: late, ratio: late / early };
  process.stdout.write(
    values.json
      ? `${JSON.stringify({ ...result, figures })}\n`
      : `round ${rounds} holds ${(100 * (late / early - 1)).toFixed(1)} % more than round ${Math.min(3, rounds)} (${(early / 1e6).toFixed(0)} → ${(late / 1e6).toFixed(0)} MB)\n`,
  );
}

const [, , flag, role, settings] = process.argv;
if (flag === '--role') {
  await (role === 'server' ? server : client)(JSON.parse(settings));
  process.exit(0);
} else await main();
