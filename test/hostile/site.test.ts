// A site against a curious server and its own talkative trainer: nothing but updates, figures, codes
// and names of rules leaves, and its owner's limits hold whatever the server says.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { startTokenizer } from '../../src/node/trainer/tokenizer-host.js';
import { elementCount } from '../../src/tensor/dtype.js';
import { memoryStateDict } from '../../src/tensor/memory-state-dict.js';
import type { StateDict } from '../../src/tensor/state-dict.js';
import { llamaConfigJson } from '../../src/trainer/llama/config.js';
import { llamaManifest } from '../../src/trainer/llama/parameters.js';
import { tokenizerConfigJson, tokenizerJson } from '../../src/trainer/tokenizer/tokenizer-json.js';
import { trainBpe } from '../../src/trainer/tokenizer/train-bpe.js';
import { start, workFolder } from '../e2e/command.js';
import { TINY } from '../trainer/tiny.js';
import { curiousServer, type Plan } from './curious-server.js';

const PROGRAM = fileURLToPath(new URL('programs/leaky.mjs', import.meta.url));
const SECRET = 'Frau Mustermann hat Borreliose';
const PRIVATE = '/home/margarete/praxis/llama-1b';
const folder = workFolder();
const servers: { close(): Promise<void> }[] = [];
let count = 0;

afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

/** Runs a site to its end against a server with this plan. */
async function visit(plan: Plan, site: { config?: Record<string, unknown>; data?: string; args?: string[]; signal?: NodeJS.Signals } = {}) {
  const server = await curiousServer(plan);
  servers.push(server);
  const work = join(folder, `work-${++count}`);
  const args = ['client', '--connect', server.url, '--site', 'praxis', '--work', work, '--threads', '1'];
  if (site.config) {
    const path = join(folder, `site-${count}.json`);
    writeFileSync(path, JSON.stringify(site.config), { mode: 0o600 });
    args.push('--site-config', path);
  }
  if (site.data) args.push('--data', site.data);
  const started = start([...args, ...(site.args ?? [])], folder);
  if (site.signal) {
    await started.until('joined');
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    started.child.kill(site.signal);
  }
  const ended = await started.ended;
  const log = existsSync(join(work, 'client.log')) ? readFileSync(join(work, 'client.log'), 'utf8') : '';
  return { ...ended, server, log };
}

/** Expects that none of what is private came to the server. */
function expectNothingPrivate(text: string): void {
  for (const word of [SECRET, 'Mustermann', 'Borreliose', 'margarete', 'praxis/', folder, ...(hostname().length > 5 ? [hostname()] : [])])
    expect(text.includes(word), word).toBe(false);
}

const OWN = { trainer: { name: 'own' }, sites: ['praxis'], rounds: 2, quantize: 'fp32', idleMs: 20_000 };
const program = (how: string, more: Record<string, unknown> = {}) => ({
  trainers: { own: { command: [process.execPath, PROGRAM, how, SECRET, PRIVATE] } },
  ...more,
});

test.each(['crash', 'throw', 'garbage', 'message', 'type', 'no-file', 'header', 'extras'])(
  'a trainer that fails (%s) tells the site alone why',
  async (how) => {
    const { server, log, stderr } = await visit({ job: OWN, tasks: [{}] }, { config: program(how) });
    const failed = server.heard.find(({ name }) => name === 'fail');
    expect(failed?.body).toMatchObject({
      code: how === 'extras' ? 'refused' : 'trainer',
      message: expect.stringMatching(/^its (trainer failed|owner does not allow it); its own log has the details in round 1$/),
    });
    expectNothingPrivate(server.text());
    if (how !== 'no-file' && how !== 'extras') expect(log).toContain(SECRET);
    expect(stderr).toMatch(/^praxis: .*the trainer\b/m);
  },
);

test('a simulation tells the person at its terminal why, and its server nothing', async () => {
  const job = join(folder, 'own.json');
  const config = join(folder, 'talkative.json');
  writeFileSync(
    job,
    JSON.stringify({ trainer: { name: 'own' }, model: 'offered', sites: 1, rounds: 1, idleMs: 5_000, data: { generated: 100 } }),
  );
  writeFileSync(config, JSON.stringify(program('crash')), { mode: 0o600 });
  const { code, stderr } = await start(['simulate', '--job', job, '--site-config', config, '--name', 'talkative'], folder).ended;
  expect(code).toBe(1);
  expect(stderr).toContain(SECRET);
  const at = join(folder, 'runs/talkative');
  const files = readdirSync(at, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const telling = files.map(({ parentPath, name }) => join(parentPath, name)).filter((path) => readFileSync(path).includes(SECRET));
  expect(telling.map((path) => path.slice(at.length + 1)).sort()).toEqual(['logs/site-1.log', 'logs/site-1.stderr.log']);
});

test('an owner who shares errors has them sent', async () => {
  const { server } = await visit({ job: OWN, tasks: [{}] }, { config: program('crash', { share: { errors: true } }) });
  expect(server.heard.find(({ name }) => name === 'fail')?.body.message).toContain(SECRET);
});

test('of a result, neither names of metrics that are texts nor metadata of files leave', async () => {
  const { server, log } = await visit({ job: OWN, tasks: [{}] }, { config: program('metrics') });
  expect(server.heard.find(({ name }) => name === 'result')?.body).toMatchObject({ samples: 20, metrics: { perplexity: 3 } });
  expectNothingPrivate(server.text());
  expect(log).toContain('a metric of the trainer stays here');
});

test('metrics leave by name where the owner lists them', async () => {
  const { server } = await visit({ job: OWN, tasks: [{}] }, { config: program('metrics', { share: { metrics: ['loss'], steps: false } }) });
  expect(server.heard.find(({ name }) => name === 'result')?.body.metrics).toEqual({});
  expect(server.heard.filter(({ name, body }) => name === 'progress' && (body.steps as unknown[]).length > 0)).toEqual([]);
});

test('an offered model leaves with names in the place of paths', async () => {
  const { server } = await visit({ job: OWN, tasks: [{ kind: 'offer', round: 0 }] }, { config: program('offer') });
  const files = server.heard.find(({ name }) => name === 'result')?.body.files as Record<string, string>;
  expect(JSON.parse(files['config.json'] as string)).toEqual({ _name_or_path: 'llama-1b', model_type: 'tiny' });
  expect(JSON.parse(files['adapter_config.json'] as string)).toMatchObject({
    base_model_name_or_path: 'llama-1b',
    r: 4,
    auto_mapping: { file: 'code.py' },
  });
  expectNothingPrivate(server.text());
});

test('a job for a trainer that is not there, and data that cannot be read, are told by code', async () => {
  const bad = join(folder, 'bad.jsonl');
  writeFileSync(bad, `{"prompt": "${SECRET}", "completion": 7}\n`);
  const unknown = await visit({ job: OWN }, { config: { trainers: { other: { command: [PRIVATE] } } } });
  expect(unknown.stderr).toContain('which this site has not registered');
  const unread = await visit({ job: builtIn({}), files: FILES }, { config: { trainers: { other: { command: ['x'] } } }, data: bad });
  expect(unread.stderr).toContain(bad);
  for (const { server } of [unknown, unread]) expectNothingPrivate(server.text());
  expect(await unknown.server.bye()).toMatch(/its owner does not allow it/);
  expect(await unread.server.bye()).toMatch(/its data cannot be used/);
});

// The built-in trainer, whose numbers are the server's.

const SAMPLES = Array.from({ length: 40 }, (_, i) => ({ prompt: `question ${i}`, completion: i === 3 ? SECRET : `answer ${i}` }));
const BPE = trainBpe(['question answer 0 1 2 3 4 5 6 7 8 9'.repeat(9), SECRET], 264);
const FILES: Record<string, string> = {
  'config.json': llamaConfigJson({ ...TINY, vocabularySize: Object.keys(BPE.vocabulary).length }),
  'tokenizer.json': tokenizerJson(BPE),
  'tokenizer_config.json': tokenizerConfigJson(64),
};
const TRAIN = { localSteps: 4, batchSize: 4, maxTokens: 64, learningRate: 0.01 };
const builtIn = (train: Record<string, unknown>, more: Record<string, unknown> = {}) => ({
  sites: ['praxis'],
  rounds: 2,
  quantize: 'fp32',
  idleMs: 20_000,
  train: { ...TRAIN, ...train },
  ...more,
});
let data = '';

beforeAll(() => {
  data = join(folder, 'data.jsonl');
  writeFileSync(data, SAMPLES.map((sample) => `${JSON.stringify(sample)}\n`).join(''));
});

test.each([
  ['one step on one sample', { localSteps: 1, batchSize: 1 }, {}, {}, 'leastBatch'],
  ['one step on four samples', { localSteps: 1 }, {}, {}, 'leastSamples'],
  ['steps on one sample each', { localSteps: 100, batchSize: 1 }, {}, {}, 'leastBatch'],
  ['steps without end', { localSteps: 1e9 }, {}, {}, 'mostSteps'],
  ['passes without end', { localSteps: undefined, localEpochs: 1e9 }, {}, {}, 'mostSteps'],
  ['rounds without end', {}, { rounds: 100_000 }, {}, 'mostRounds'],
  ['a codec that is not listed', {}, {}, { codecs: ['nf4', 'bf16'] }, 'codecs'],
  [
    'a codec for one tensor alone',
    {},
    { quantize: { down: 'fp32', up: { default: 'nf4', names: { '*embed*': 'fp32' } } } },
    { codecs: ['nf4'] },
    'codecs',
  ],
  ['a trainer that is not listed', {}, {}, { trainers: ['hf-sft'] }, 'trainers'],
  ['a job that is not listed', {}, {}, { jobs: ['0'.repeat(64)] }, 'jobs'],
  ['more steps than the owner wants', {}, {}, { leastSteps: 5 }, 'leastSteps'],
])('a job that asks for %s is refused by the rule', async (_, train, more, limits, rule) => {
  const { server, code, stderr } = await visit({ job: builtIn(train, more), files: FILES, tasks: [{}] }, { data, config: { limits } });
  expect(code).toBe(1);
  expect(stderr.match(new RegExp(`limits\\.${rule}: `, 'g'))).toHaveLength(1);
  expect(server.heard).toEqual([]);
  expect(await server.bye()).toContain(`its owner's rule limits.${rule} does not allow it`);
  expectNothingPrivate(server.text());
});

test('a length that leaves one sample is refused before the training', async () => {
  const long = join(folder, 'long.jsonl');
  writeFileSync(
    long,
    SAMPLES.map(({ prompt, completion }, i) => `${JSON.stringify({ prompt: i === 3 ? 'x' : prompt.repeat(9), completion })}\n`).join(''),
  );
  const { server, log } = await visit({ job: builtIn({ maxTokens: 16 }), files: FILES, model: fitting(), tasks: [{}] }, { data: long });
  expect(server.heard.map(({ name, body }) => [name, body.code])).toEqual([['fail', 'refused']]);
  expect(server.heard[0]?.body.message).toBe("its owner's rule limits.leastSamples does not allow it in round 1");
  expect(log).toContain('the job asks for 1 different samples in a round; this site needs at least 16');
});

test('tasks that step out of the job, and one round again and again, are refused', async () => {
  const model = fitting();
  // All under one name, so that their values alone tell them apart.
  const models = [0.01, 0.02, 0.03].map((value) => fitting(value));
  const tasks = [
    { round: 3 },
    { rounds: 3 },
    { round: 0 },
    { kind: 'evaluate', round: 9 },
    ...models.map((served) => ({ served })),
    { served: models[0] },
    { served: models[0], digest: 'a'.repeat(32) },
  ];
  const { server } = await visit({ job: builtIn({}), files: FILES, model, tasks }, { data, config: { limits: { mostRepeats: 2 } } });
  const answers = server.heard.filter(({ name }) => name !== 'progress').map(({ name, body }) => [name, body.message]);
  const rule = (name: string, round: number) => [
    'fail',
    `its owner's rule limits.${name} does not allow it${round > 0 ? ` in round ${round}` : ''}`,
  ];
  expect(answers).toEqual([
    rule('mostRounds', 3),
    rule('mostRounds', 1),
    rule('mostRounds', 0),
    rule('mostRounds', 9),
    ['result', undefined],
    ['result', undefined],
    rule('mostRepeats', 1),
    ['result', undefined],
    ['fail', 'it received an object with another digest in round 1'],
  ]);
});

test('an evaluation on a few samples stays at the site, one on many leaves', async () => {
  const model = fitting();
  const task = { kind: 'evaluate', round: 1 };
  for (const [validationSamples, leaves] of [
    [1, false],
    [20, true],
  ] as const) {
    const job = builtIn({}, { validationSamples });
    const { server } = await visit({ job, files: FILES, model, tasks: [task] }, { data, args: ['--hold-out', '50'] });
    const answered = server.heard.find(({ name }) => name === 'evaluated');
    expect(answered?.body.evaluation !== undefined).toBe(leaves);
    expect(answered?.body.samples).toBe(leaves ? 20 : 1);
  }
});

/** A model of zeros that fits the configuration. */
function fitting(value = 0.01): StateDict {
  const { tensors } = llamaManifest({ ...TINY, vocabularySize: Object.keys(BPE.vocabulary).length });
  return memoryStateDict(
    tensors.map(({ name, shape }) => ({ name, dtype: 'F32', shape, data: new Float32Array(elementCount(shape)).fill(value) })),
  );
}

// Texts of the server that are programs.

const hostile = (change: (json: Record<string, unknown>) => void): string => {
  const json = JSON.parse(FILES['tokenizer.json'] as string) as Record<string, unknown>;
  change(json);
  return JSON.stringify(json);
};
/** Backtracks without end on a run of letters that no exclamation mark ends. */
const SPINS = hostile((json) => {
  json.pre_tokenizer = { type: 'Split', pattern: { Regex: '(?:\\p{L}+)+!' }, behavior: 'Isolated', invert: false };
});
const WORDY = Array.from({ length: 20 }, () => ({ prompt: 'a'.repeat(5_000), answer: 'b' }));

test('Ctrl-C ends a site inside a tokenizer that never ends', async () => {
  const wordy = join(folder, 'wordy.jsonl');
  writeFileSync(wordy, WORDY.map(({ prompt, answer }) => `${JSON.stringify({ prompt, completion: answer })}\n`).join(''));
  const job = builtIn({});
  const before = performance.now();
  const { code, server } = await visit({ job, files: { ...FILES, 'tokenizer.json': SPINS } }, { data: wordy, signal: 'SIGINT' });
  expect(code).toBe(130);
  expect(performance.now() - before).toBeLessThan(20_000);
  expect(await server.bye()).toContain('it was stopped');
});

test('a tokenizer that never ends is stopped: budget tokenizerMs', async () => {
  const texts = { json: SPINS, configJson: FILES['tokenizer_config.json'], source: 'tokenizer.json' };
  const tokenizer = await startTokenizer({ ...texts, limitMs: 3_000 });
  const encoding = tokenizer.encode(WORDY, 64);
  let turns = 0;
  const turning = setInterval(() => turns++, 20);
  await expect(encoding).rejects.toMatchObject({
    code: 'limit',
    message: expect.stringMatching(/tokenizer\.json: its rules took longer than 3 s on 20 samples/),
  });
  clearInterval(turning);
  expect(turns).toBeGreaterThan(10);
  await expect(tokenizer.encode(WORDY, 64)).rejects.toMatchObject({ code: 'limit' });
});

test.each([
  [
    'replacements that double a text',
    (json: Record<string, unknown>) => {
      json.normalizer = {
        type: 'Sequence',
        normalizers: Array.from({ length: 40 }, () => ({ type: 'Replace', pattern: { String: 'a' }, content: 'aa' })),
      };
    },
  ],
  [
    'pieces of no length',
    (json: Record<string, unknown>) => {
      json.pre_tokenizer = { type: 'FixedLength', length: 0 };
    },
  ],
])('a tokenizer that takes all memory (%s) is stopped: budget tokenizerHeap', async (_, change) => {
  const texts = { json: hostile(change), configJson: FILES['tokenizer_config.json'], source: 'tokenizer.json' };
  const start = startTokenizer({ ...texts, limitMs: 60_000, heapBytes: 64 * 2 ** 20 });
  const failure = await start
    .then((tokenizer) => tokenizer.encode(WORDY, 64).finally(() => tokenizer.close()))
    .catch((error: unknown) => error);
  expect(failure).toMatchObject({ code: expect.stringMatching(/^(limit|bad-model)$/) });
});

test.each([
  ['config.json', 'budget configurationBytes'],
  ['tokenizer_config.json', 'budget configurationBytes'],
])('a %s of two megabytes is refused by its name: %s', async (name) => {
  const files = { ...FILES, [name]: `{"x": "${'x'.repeat(2 ** 21)}"}` };
  const { stderr, code } = await visit({ job: builtIn({}), files }, { data });
  expect(code).toBe(1);
  expect(stderr).toContain(`${name} has`);
});

test('a model larger than the owner allows is refused before any memory is taken', async () => {
  const huge = llamaConfigJson({
    ...TINY,
    hiddenSize: 1024,
    layers: 8,
    heads: 8,
    kvHeads: 8,
    headDim: 128,
    ffnSize: 4096,
    vocabularySize: 32_000,
  });
  const limits = { mostMemoryBytes: 256 * 2 ** 20 };
  const { stderr, server } = await visit({ job: builtIn({}), files: { ...FILES, 'config.json': huge } }, { data, config: { limits } });
  expect(stderr).toMatch(/needs [\d.]+ GiB, and this machine allows 0\.3 GiB \(limits\.mostMemoryBytes/);
  expect(await server.bye()).toContain('a limit of its own');
});
