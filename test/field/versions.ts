// Sides of different releases: what a site says of something that it does not know, with the side that is older.
import { referenceCodecs } from '../../src/codec/codec-table.js';
import { silentLogger } from '../../src/core/log.js';
import { memoryFolder } from '../../src/core/memory-folder.js';
import { RELEASE } from '../../src/core/release.js';
import { memory } from '../../src/driver/memory.js';
import { Session } from '../../src/frame/session.js';
import { PROTOCOL_VERSIONS, type VersionRange } from '../../src/frame/versions.js';
import { parseJob } from '../../src/kit/kit.js';
import { Messages } from '../../src/message/messages.js';
import { runClient } from '../../src/site/client.js';
import { siteLink } from '../../src/site/site-link.js';
import { SITE } from './listeners.js';
import type { FieldTable } from './situation.js';

interface Server {
  /** The release that the server says; null for an older one, which says none. */
  readonly release: string | null;
  readonly versions?: VersionRange;
  /** Fields over those of a job that both sides know. */
  readonly job?: Readonly<Record<string, unknown>>;
  /** Fields over those of a task that both sides know. */
  readonly task?: Readonly<Record<string, unknown>>;
}

const NEWER = '99.0.0';
const OLDER = '0.0.1';
const HERE = RELEASE.replaceAll('.', '\\.');
const UPDATE_HERE = `this side has FedStream ${HERE}, which is older than the server's 99\\.0\\.0: update FedStream here`;
const UPDATE_THERE = `the server has FedStream 0\\.0\\.1, which is older than this side's ${HERE}: update FedStream there`;

const TASK = { id: 'task-1', kind: 'train', round: 1, rounds: 1, evaluate: false };

export const VERSIONS: FieldTable<Server> = {
  title: 'Sides of different releases',
  intro: 'What one side sends and the other does not know is refused by name, with the side that is older and both releases.',
  async run({ release, versions = PROTOCOL_VERSIONS, job, task }) {
    const driver = memory();
    const known = parseJob({ rounds: 1, sites: [SITE] }, 'the job');
    let told = '';
    const listener = await driver.listen?.('memory://server', (connection) => {
      const session = new Session(connection, { name: 'server', versions, release: release ?? 'none' });
      new Messages(session, {
        join: () => ({ job: { ...known, ...job }, files: [], run: 'a-run' }),
        next: () => (told ? { stop: told } : { task: { ...TASK, ...task } }),
        progress: () => ({}),
        fail: (body) => {
          told = Buffer.from(body).toString('latin1');
          return {};
        },
      });
      void session.start(() => {}).catch(() => {});
    });
    const { signal } = new AbortController();
    const common = { site: SITE, codecs: referenceCodecs, log: silentLogger, folder: memoryFolder(SITE), signal };
    const link = siteLink({ ...common, driver, url: 'memory://server', retryMs: 1000 });
    const failures: string[] = [];
    try {
      const reason = await runClient({
        ...common,
        link,
        memory: () => ({ rssBytes: 1, peakRssBytes: 1 }),
        onFailure: ({ message }) => void failures.push(message),
        makeTrainer: async () => ({
          train: () => Promise.reject(new Error('no training')),
          evaluate: async () => undefined,
          close: async () => {},
        }),
      });
      if (failures.length > 0) throw new Error(failures.join('\n'));
      return reason;
    } finally {
      await link.close();
      await listener?.close();
    }
  },
  rows: [
    {
      name: 'a job with a field of a newer server',
      from: 'NVFlare, Flower',
      input: { release: NEWER, job: { secureSum: true } },
      refusal: new RegExp(`the job that the server sent: .*secureSum.*; ${UPDATE_HERE}`),
      advice: 'The field is named, and the site is the older side.',
    },
    {
      name: 'a job with an option of training of a newer server',
      from: 'TRL, PEFT',
      input: { release: NEWER, job: { train: { lookahead: 3 } } },
      refusal: new RegExp(`train.*lookahead.*; ${UPDATE_HERE}`),
      advice: 'The option is named with its place.',
    },
    {
      name: 'a codec of a newer server',
      from: 'bitsandbytes',
      input: { release: NEWER, job: { quantize: 'mxfp4' } },
      refusal: new RegExp(`quantize.*mxfp4.*; ${UPDATE_HERE}`),
      advice: 'The codec is named; a codec of one’s own needs the same kit on both sides (`--kit`).',
    },
    {
      name: 'a filter of a newer server',
      from: 'NVFlare filters',
      input: { release: NEWER, job: { filters: { 'result-out': [{ type: 'mask', share: 0.5 }] } } },
      refusal: new RegExp(`filters.*mask.*; ${UPDATE_HERE}`),
      advice: 'The filter is named.',
    },
    {
      name: 'an option of a filter of an older server',
      from: 'NVFlare filters',
      input: { release: OLDER, job: { filters: { 'result-out': [{ type: 'clip', bound: 1 }] } } },
      refusal: new RegExp(`filters.*; ${UPDATE_THERE}`),
      advice: 'The option is named, and the server is the older side.',
    },
    {
      name: 'a job of a server that does not say its release',
      from: 'releases before this one',
      input: { release: null, job: { warmup: 3 } },
      refusal: new RegExp(
        `warmup.*; the server does not say its release, so it is older than this side's FedStream ${HERE}: update FedStream there`,
      ),
      advice: 'The field is named, and the server is the older side.',
    },
    {
      name: 'a field that neither side knows, of the same release',
      from: 'kits of one’s own',
      input: { release: RELEASE, job: { mine: 1 } },
      refusal: new RegExp(`mine.*; both sides have FedStream ${HERE}, so no update adds it: the two have different kits`),
      advice: 'No update helps; give both sides the same kit.',
    },
    {
      name: 'a kind of task of a newer server',
      from: 'Flower’s message types',
      input: { release: NEWER, task: { kind: 'distil' } },
      refusal: new RegExp(`this site has no task "distil"; it has train, .*; ${UPDATE_HERE}`),
      advice: 'The task is named, its round fails at this site, and the site stays.',
    },
    {
      name: 'a task with a field of a newer server',
      from: 'Flower’s message types',
      input: { release: NEWER, task: { deadline: 3 } },
      refusal: new RegExp(`the reply to next is wrong at task: .*"deadline"; ${UPDATE_HERE}`),
      advice: 'The field is named; it is no damage, and is not asked for again.',
    },
    {
      name: 'a server whose protocol is newer than this side’s',
      from: 'Flower, gRPC',
      input: { release: NEWER, versions: { oldest: 7, newest: 9 } },
      refusal: /speaks versions 7 to 9 of the protocol, this side 1: this side is too old; update FedStream here/,
      advice: 'One try; the older side is named.',
    },
    {
      name: 'a newer server that knows the older protocol too',
      from: 'rolling updates',
      input: { release: NEWER, versions: { oldest: 1, newest: 9 }, task: { kind: 'distil' } },
      refusal: /this site has no task "distil"/,
      advice: 'They speak the newest version that both know; only what is new is refused.',
    },
  ],
};
