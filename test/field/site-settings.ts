// Sites that bring other settings, bases or tokenizers than each other: federations in one process.
import { FedStreamError } from '../../src/core/errors.js';
import { memoryFolder } from '../../src/core/memory-folder.js';
import type { Folder } from '../../src/core/storage.js';
import type { JobInput } from '../../src/job/job.js';
import type { ServerLink } from '../../src/site/server-link.js';
import type { Fingerprints } from '../../src/trainer/fingerprints.js';
import { federate, type ScriptedSite } from '../federation/scripted.js';
import type { FieldTable } from './situation.js';

interface Brought {
  /** What its trainer tells; missing for a trainer that tells nothing. */
  readonly tells?: Fingerprints;
  /** Added to every weight by its training of a round. */
  readonly adds: number;
  readonly samples?: number;
  readonly is?: 'of an earlier version' | 'silent by its owner' | 'broken at its start';
}

type Sites = Readonly<Record<string, Brought>>;

interface Input {
  readonly sites: Sites;
  /** The same run goes on after its first round with these sites. */
  readonly afterwards?: Sites;
  readonly job?: JobInput;
  /** Fingerprints of the model folder that the server was given. */
  readonly server?: Fingerprints;
}

const START = Float32Array.of(1, -2, 0.5);
const LORA = { 'adapter.peft_type': 'LORA', 'adapter.r': '8', 'adapter.lora_alpha': '16' };
const QWEN = 'sha256-0d1e6b7f';
const LLAMA = 'sha256-7d43ac6b';

/** A link of a version that does not tell. */
const mute = (link: ServerLink): ServerLink =>
  new Proxy(link, {
    get: (target, key) => {
      const value = Reflect.get(target, key);
      if (key === 'about') return async () => {};
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });

const shared = { errors: true, steps: true };

async function run({ sites, afterwards, job, server }: Input, warn: (text: string) => void): Promise<number[]> {
  const [folder, folders] = [memoryFolder('run'), {} as Record<string, Folder>];
  let trained = 0;
  const scripted = (brought: Sites): Record<string, ScriptedSite> =>
    Object.fromEntries(
      Object.entries(brought).map(([name, { tells = {}, adds, samples, is }]) => {
        const learn: ScriptedSite['learn'] = ({ bias = START }) => {
          trained++;
          return { bias: bias.map((value) => value + adds) };
        };
        const fingerprints = async (): Promise<Fingerprints> => {
          if (is === 'broken at its start') throw new FedStreamError('trainer', 'the script does not start');
          return tells;
        };
        const own = is === 'silent by its owner' ? { policy: { filters: [], share: { ...shared, fingerprints: false } } } : {};
        const older = is === 'of an earlier version' ? { tampered: mute } : {};
        return [name, { learn, samples, fingerprints, ...own, ...older }];
      }),
    );
  const onEvent = (event: { type: string; message?: string }): void => {
    if (event.type === 'warning') warn(event.message ?? '');
  };
  const whole = { quantize: 'fp32', normBound: 'off', ...job } as const;
  const setting = { run: folder, folders, start: { bias: START }, fingerprints: server, onEvent };
  try {
    let { master } = await federate({ ...whole, rounds: 1 }, scripted(sites), setting);
    if (afterwards) ({ master } = await federate({ ...whole, rounds: 2 }, scripted(afterwards), setting));
    return [...((await master(afterwards ? 2 : 1)).bias as Float32Array)];
  } catch (error) {
    if (trained > 0) throw new Error(`${trained} sites trained before: ${(error as Error).message}`);
    throw error;
  }
}

/** Start plus the average of what was added, in float64: exact for these numbers. */
const plus = (added: number): number[] => [1 + added, -2 + added, 0.5 + added];

const REFUSED = /^the sites would not train the same thing, and nothing was trained: .* \(docs\/job\.md\)$/;
const refusal = (text: string): RegExp =>
  new RegExp(
    `^the sites would not train the same thing, and nothing was trained: ${text}\\. Make them alike, or allow .* \\(docs/job\\.md\\)$`,
  );

export const SITE_SETTINGS: FieldTable<Input> = {
  title: 'Sites with other settings than each other',
  intro:
    'Weights alone do not show that an adapter is scaled otherwise or sits on another base, so trainers tell it, and the server compares before anything is trained.',
  run: (input, { warn }) => run(input, warn),
  rows: [
    {
      name: 'the same adapter settings at every site',
      from: 'PEFT',
      input: { sites: { a: { tells: LORA, adds: 1, samples: 2 }, b: { tells: LORA, adds: 5, samples: 6 } } },
      gives: plus((2 * 1 + 6 * 5) / 8),
      advice: 'Results are averaged by samples.',
    },
    {
      name: 'lora_alpha 16 at one site and 32 at the other',
      from: 'PEFT',
      input: { sites: { a: { tells: LORA, adds: 1 }, b: { tells: { ...LORA, 'adapter.lora_alpha': '32' }, adds: 5 } } },
      refusal: refusal('adapter\\.lora_alpha is "(16|32)" at [ab] and "(16|32)" at [ab]'),
      advice: 'Give every site the same adapter_config.json; the message names the field, both values and both sites.',
    },
    {
      name: 'other target modules and another rank pattern at one site',
      from: 'PEFT',
      input: {
        sites: {
          a: { tells: { 'adapter.target_modules': '["q_proj"]', 'adapter.rank_pattern': '{}' }, adds: 1 },
          b: { tells: { 'adapter.target_modules': '["k_proj","q_proj"]', 'adapter.rank_pattern': '{"q_proj":4}' }, adds: 1 },
        },
      },
      refusal: refusal('adapter\\.rank_pattern is .* at [ab] and .* at [ab]; adapter\\.target_modules is .* at [ab] and .* at [ab]'),
      advice: 'All fields that differ stand in one message.',
    },
    {
      name: 'adapters of the same shapes on two base models',
      from: 'PEFT',
      input: { sites: { a: { tells: { 'base.weights': QWEN }, adds: 1 }, b: { tells: { 'base.weights': LLAMA }, adds: 1 } } },
      refusal: refusal('base\\.weights is "sha256-[0-9a-f]+" at [ab] and "sha256-[0-9a-f]+" at [ab]'),
      advice: 'Load the same base at every site; its files are compared by a digest.',
    },
    {
      name: 'two tokenizers with vocabularies of the same size',
      from: 'transformers',
      input: { sites: { a: { tells: { tokenizer: QWEN }, adds: 1 }, b: { tells: { tokenizer: LLAMA }, adds: 1 } } },
      refusal: refusal('tokenizer is .* at [ab] and .* at [ab]'),
      advice: 'Give every site the same tokenizer, with the same added tokens.',
    },
    {
      name: 'classifiers whose labels have another order',
      from: 'transformers',
      input: {
        sites: { a: { tells: { labels: '{"0":"no","1":"yes"}' }, adds: 1 }, b: { tells: { labels: '{"0":"yes","1":"no"}' }, adds: 1 } },
      },
      refusal: refusal('labels is .* at [ab] and .* at [ab]'),
      advice: 'Give id2label to every site alike.',
    },
    {
      name: 'two sites of three that agree, and one that does not',
      from: 'Flower',
      input: { sites: { a: { tells: LORA, adds: 1 }, b: { tells: LORA, adds: 1 }, c: { tells: { ...LORA, 'adapter.r': '16' }, adds: 1 } } },
      refusal: REFUSED,
      advice: 'The run ends before any training, though a quorum of sites agrees: only people know which of them is right.',
    },
    {
      name: 'a difference that the job allows by name',
      from: 'NVFlare',
      input: {
        sites: { a: { tells: { tokenizer: QWEN }, adds: 1, samples: 1 }, b: { tells: { tokenizer: LLAMA }, adds: 2, samples: 3 } },
        job: { differences: { tokenizer: 'warn' } },
      },
      gives: plus((1 + 3 * 2) / 4),
      warning: /^the sites differ, as the job allows: tokenizer is "sha256-[0-9a-f]+" at [ab] and "sha256-[0-9a-f]+" at [ab]$/,
      advice: 'Say "differences": {"tokenizer": "warn"} in the job where it is meant; the report has one warning.',
    },
    {
      name: 'differences that the job allows by the part before a dot, but for one',
      from: 'NVFlare',
      input: {
        sites: {
          a: { tells: { 'base.config.rope_theta': '10000', 'base.weights': QWEN }, adds: 1 },
          b: { tells: { 'base.config.rope_theta': '500000', 'base.weights': LLAMA }, adds: 1 },
        },
        job: { differences: { base: 'warn', 'base.config': 'refuse' } },
      },
      refusal: refusal('base\\.config\\.rope_theta is "\\d+" at [ab] and "\\d+" at [ab]'),
      advice: 'The longest name counts: {"base": "warn", "base.config": "refuse"}.',
    },
    {
      name: 'a setting that one site alone tells',
      from: 'PEFT',
      input: { sites: { a: { tells: LORA, adds: 1 }, b: { tells: { tokenizer: QWEN }, adds: 3 } } },
      gives: plus(2),
      advice: 'Only what two sites both tell is compared, so versions of libraries may differ.',
    },
    {
      name: 'a script that tells nothing of itself',
      from: 'a bare PyTorch loop',
      input: { sites: { a: { tells: LORA, adds: 1 }, b: { adds: 3 } } },
      gives: plus(2),
      advice: 'It is trained as it is; tell what must be alike with `fingerprints`.',
    },
    {
      name: 'a site of an earlier version, which cannot tell',
      from: 'Flower',
      input: { sites: { a: { tells: LORA, adds: 1 }, b: { tells: { 'adapter.r': '4' }, adds: 3, is: 'of an earlier version' } } },
      gives: plus(2),
      advice: 'It takes part uncompared; update it.',
    },
    {
      name: 'an owner who shares no settings of the training',
      from: 'NVFlare',
      input: { sites: { a: { tells: LORA, adds: 1 }, b: { tells: { 'adapter.r': '4' }, adds: 3, is: 'silent by its owner' } } },
      gives: plus(2),
      advice: '"share": {"fingerprints": false} of site.json keeps them at home, and nothing is compared.',
    },
    {
      name: 'a script that does not start at one site of three, while the others wait to be compared',
      from: 'Flower',
      input: {
        sites: { a: { tells: LORA, adds: 1 }, b: { tells: LORA, adds: 3 }, c: { adds: 100, is: 'broken at its start' } },
        job: { quorum: 2 },
      },
      gives: plus(2),
      warning: /round 1 goes on without c: the script does not start/,
      advice: 'The others wait until it has failed, and go on with a quorum.',
    },
    {
      name: 'a run that goes on after its server was started anew',
      from: 'NVFlare',
      input: {
        sites: { a: { tells: LORA, adds: 1 }, b: { tells: LORA, adds: 3 } },
        afterwards: { a: { tells: LORA, adds: 1 }, b: { tells: LORA, adds: 3 } },
      },
      gives: plus(4),
      advice: 'What was compared once is kept in the run folder.',
    },
    {
      name: 'a site that comes back to a run with another alpha',
      from: 'PEFT',
      input: {
        sites: { a: { tells: LORA, adds: 1 }, b: { tells: LORA, adds: 3 } },
        afterwards: { a: { tells: LORA, adds: 1 }, b: { tells: { ...LORA, 'adapter.lora_alpha': '32' }, adds: 100 } },
        job: { quorum: 1 },
      },
      gives: plus(3),
      warning:
        /goes on without b: it does not train what this run has trained: adapter\.lora_alpha is "16" at a, b before and "32" at b\. Make them alike/,
      advice: 'Once the run has trained, that site alone is refused, and the others go on.',
    },
    {
      name: 'an adapter folder on the server with another alpha than all sites have',
      from: 'PEFT',
      input: {
        sites: { a: { tells: LORA, adds: 1 }, b: { tells: LORA, adds: 1 } },
        server: { ...LORA, 'adapter.lora_alpha': '64' },
      },
      refusal: refusal('adapter\\.lora_alpha is "64" at the server and "16" at [ab]'),
      advice: 'The model folder of the job is compared too: its adapter_config.json and config.json.',
    },
    {
      name: 'sites that train one after the other (cyclic) with other settings',
      from: 'NVFlare',
      input: {
        sites: { a: { tells: LORA, adds: 1 }, b: { tells: { ...LORA, 'adapter.r': '2' }, adds: 100 } },
        afterwards: { a: { tells: LORA, adds: 1 }, b: { tells: { ...LORA, 'adapter.r': '2' }, adds: 100 } },
        job: { workflow: 'cyclic' },
      },
      gives: plus(2),
      warning: /^round 2 goes on without b: it does not train what this run has trained: adapter\.r is "8" at a and "2" at b\./,
      advice: 'Each is compared before its own turn, so the second one never trains, and its turn is left out.',
    },
  ],
};
