// The memory and the bytes of a server whose sites are relays of many sites, beside those of a star
// with as many sites as there are relays.
import { fork } from 'node:child_process';
import { setMaxListeners } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { wholeNumber } from '../dist/cli/options.js';
import { memory } from '../dist/driver/memory.js';
import { RELAY_FEATURE } from '../dist/frame/hello.js';
import { runServer } from '../dist/hub/server.js';
import { parseJob } from '../dist/kit/kit.js';
import { nodeCodecs } from '../dist/node/codec/codecs.js';
import { tcp } from '../dist/node/drivers/tcp.js';
import { processMemory } from '../dist/node/process/memory.js';
import { nodeFolder } from '../dist/node/storage/node-folder.js';
import { readTokenFile, readTokenVerifiers, writeTokens } from '../dist/node/tls/token-files.js';
import { runRelayClient } from '../dist/relay/relay.js';
import { writeGlobalModel } from '../dist/server/global-models.js';
import { runClient } from '../dist/site/client.js';
import { NO_LEAST } from '../dist/site/limits.js';
import { siteLink } from '../dist/site/site-link.js';
import { memoryStateDict } from '../dist/tensor/memory-state-dict.js';
import { benchCommand } from './command.mjs';

const quiet = { debug() {}, info() {}, warn() {}, error: (_, message) => process.stderr.write(`${message}\n`) };
const { signal } = new AbortController();
setMaxListeners(0, signal); // a thousand sites of one process share it
const POLICY = { filters: [], limits: NO_LEAST };

/** A float32 model of seeded values, in rows of 256. */
function modelOf(parameters) {
  const data = Float32Array.from({ length: parameters }, (_, i) => Math.sin(i * 12.9898) * 0.1);
  return memoryStateDict([{ name: 'w', dtype: 'F32', shape: [parameters / 256, 256], data: new Uint8Array(data.buffer) }]);
}

/** Takes the place of training: every value moves by the site's own number. */
function trainer(number) {
  return {
    async train({ round, onStep }, model) {
      onStep({ step: round, loss: 1 / round, learningRate: 1, tokens: 1 });
      const step = 1e-4 * Math.sin(number + round);
      async function* chunks(range) {
        for await (const chunk of model.chunks(range)) {
          const bytes = chunk.bytes.slice();
          const values = new Float32Array(bytes.buffer, 0, chunk.elements);
          for (let i = 0; i < values.length; i++) values[i] += step * Math.cos(i);
          yield { ...chunk, bytes };
        }
      }
      return { model: { manifest: model.manifest, chunks }, samples: 100, steps: 1, trainLoss: 1 / round };
    },
    evaluate: async () => undefined,
    close: async () => {},
  };
}

async function server({ job, folder, parameters }) {
  const run = nodeFolder(join(folder, 'run'));
  await writeGlobalModel(run, 0, modelOf(parameters));
  const told = { bytesDown: 0, bytesUp: 0, rounds: 0 };
  const emit = (event) => {
    if (event.type === 'warning') process.stderr.write(`${event.message}\n`);
    if (event.type !== 'round-finished') return;
    told.bytesDown += event.bytesDown;
    told.bytesUp += event.bytesUp;
    told.rounds++;
  };
  const admission = { tokens: readTokenVerifiers(join(folder, 'tokens.json')) };
  const common = { job, run, files: {}, admission, codecs: nodeCodecs(), log: quiet, emit, signal };
  const listeners = [{ driver: tcp(), url: 'tcp://127.0.0.1:0' }];
  await runServer({ ...common, listeners, onListening: (url) => process.send({ url }) });
  process.send({ ...told, peakRssBytes: processMemory().peakRssBytes });
}

/** All that is not the server: the sites of a star, or relays with their sites, in one process. */
async function crowd({ names, each, folder, url }) {
  const inside = memory();
  const common = { codecs: nodeCodecs(), log: quiet, signal, policy: POLICY, memory: processMemory, retryMs: 600_000 };
  const joined = (site, driver, at, more = {}) => {
    const own = nodeFolder(join(folder, site));
    return { ...common, site, folder: own, link: siteLink({ ...common, site, driver, url: at, folder: own, ...more }) };
  };
  const above = (site) => ({ credentials: readTokenFile(join(folder, 'tokens', `${site}.token`), site) });
  let number = 0;
  const site = (name, driver, at, more) => {
    const own = trainer(++number);
    const options = joined(name, driver, at, more);
    return runClient({ ...options, makeTrainer: async () => own }).finally(() => options.link.close());
  };
  const relay = async (name) => {
    const options = joined(name, tcp(), url, { ...above(name), features: [RELAY_FEATURE] });
    const sites = Array.from({ length: each }, (_, index) => `${name}.${index + 1}`);
    const below = [];
    const listeners = [{ driver: inside, url: `memory://${name}` }];
    const onListening = (at) => below.push(...sites.map((one) => site(one, inside, at)));
    await runRelayClient({ ...options, sites, listeners, onListening }).finally(() => options.link.close());
    await Promise.all(below);
  };
  await Promise.all(names.map((name) => (each === 0 ? site(name, tcp(), url, above(name)) : relay(name))));
  process.send({ done: true });
}

const [, , part, text] = process.argv;
if (part === '--part') {
  const { role, ...settings } = JSON.parse(text);
  process.on('disconnect', () => process.exit(1)); // whoever measures is gone
  await { server, crowd }[role](settings);
  process.exit(0);
}

const options = benchCommand('tree.mjs', 'What relays cost their server: memory and bytes of a star of relays, and of a tree below them.', [
  ['', '32 sites, then 32 relays of 32 sites each'],
  ['--relays 8 --each 8 --rounds 4', 'a smaller tree'],
])
  .option('--relays <count>', 'sites of the star, and relays of the tree', wholeNumber(1), 32)
  .option('--each <count>', 'sites of each relay', wholeNumber(1), 32)
  .option('--parameters <count>', 'parameters of the model, a multiple of 256', wholeNumber(256), 262_144)
  .option('--rounds <count>', 'rounds', wholeNumber(1), 2)
  .option('--codec <name>', 'how messages are coded', 'u4')
  .parse()
  .opts();

/** One federation; resolves with the server's figures. */
async function measure(each) {
  const { relays, parameters, rounds, codec } = options;
  const folder = mkdtempSync(join(tmpdir(), 'fedstream-tree-'));
  const names = Array.from({ length: relays }, (_, index) => `node-${index + 1}`);
  try {
    await writeTokens(join(folder, 'tokens'), join(folder, 'tokens.json'), names);
    const job = parseJob({ sites: names, rounds, quantize: codec, stragglerMs: 600_000, idleMs: 600_000 }, 'the benchmark');
    const startedMs = performance.now();
    const main = start({ role: 'server', job, folder, parameters });
    const { url } = await main.message();
    const others = start({ role: 'crowd', names, each, folder, url });
    const figures = await main.message();
    await others.message();
    return { ...figures, seconds: (performance.now() - startedMs) / 1000 };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Starts a part as a process, whose messages are taken in order. */
function start(settings) {
  const child = fork(process.argv[1], ['--part', JSON.stringify(settings)]);
  const waiting = [];
  const came = [];
  child.on('message', (value) => (waiting.shift()?.resolve ?? ((one) => came.push(one)))(value));
  child.on('exit', (code) => {
    if (code !== 0) throw new Error(`the ${settings.role} ended with ${code}`);
  });
  const message = () => (came.length > 0 ? Promise.resolve(came.shift()) : new Promise((resolve) => waiting.push({ resolve })));
  return { message };
}

const mib = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

/** Measures one federation, and prints it. */
async function print(what, each) {
  const figures = await measure(each);
  const { peakRssBytes, bytesDown, bytesUp, seconds } = figures;
  console.log(`${what}: server peak ${mib(peakRssBytes)}, ${mib(bytesDown)} down, ${mib(bytesUp)} up, ${seconds.toFixed(1)} s`);
  return figures;
}

const { relays, each } = options;
const star = await print(`star of ${relays} sites`, 0);
const tree = await print(`tree of ${relays} relays and ${relays * each} sites`, each);
const ratio = (name) => (tree[name] / star[name]).toFixed(3);
console.log(`ratio: memory ${ratio('peakRssBytes')}, bytes down ${ratio('bytesDown')}, bytes up ${ratio('bytesUp')}`);
process.exit(0);
