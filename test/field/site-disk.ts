// The disk of a site: what its terminal and its server hear where it takes nothing more, and where it cannot be used at all.
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { referenceCodecs } from '../../src/codec/codec-table.js';
import { silentLogger } from '../../src/core/log.js';
import { memoryFolder } from '../../src/core/memory-folder.js';
import type { Folder } from '../../src/core/storage.js';
import { memory } from '../../src/driver/memory.js';
import { runServer } from '../../src/hub/server.js';
import { parseJob } from '../../src/kit/kit.js';
import { checkWritable } from '../../src/node/storage/check-writable.js';
import { ioError } from '../../src/node/storage/io-error.js';
import { writeGlobalModel } from '../../src/server/global-models.js';
import { runClient } from '../../src/site/client.js';
import { failureWords } from '../../src/site/disk-fault.js';
import { siteLink } from '../../src/site/site-link.js';
import { modelOf, trainerOf } from '../federation/scripted.js';
import { SITE } from './listeners.js';
import type { FieldTable, Surroundings } from './situation.js';

type Disk =
  /** The system's error for each write of a file whose name has this in it. */
  | { readonly errno: string; readonly file: string }
  /** A work folder that cannot be one. */
  | { readonly work: 'a file' | 'below a file' | 'a new folder' };

const WORK = '/data/fedstream-site-1';

/** A folder whose disk takes none of these files. */
function failing(folder: Folder, { errno, file }: { readonly errno: string; readonly file: string }): Folder {
  const refuse = (name: string): void => {
    if (!name.includes(file)) return;
    const cause = Object.assign(new Error(`${errno}: as the system says`), { code: errno });
    throw ioError(cause, 'write', `${WORK}/${name}`);
  };
  return {
    ...folder,
    label: WORK,
    open: (name) => folder.open(name),
    rename: (from, to) => folder.rename(from, to),
    remove: (name) => folder.remove(name),
    sizeBytes: (name) => folder.sizeBytes(name),
    list: (name) => folder.list(name),
    folder: (name) => failing(folder.folder(name), { errno, file }),
    async create(name, options) {
      const made = await folder.create(name, options);
      return {
        write(bytes, at) {
          refuse(name);
          return made.write(bytes, at);
        },
        sync: () => made.sync(),
        close: () => made.close(),
      };
    },
  };
}

/** A run of one site with this disk; throws what the terminal of each side has, `site: …` and `server: …`. */
async function training(disk: { readonly errno: string; readonly file: string }): Promise<string> {
  const driver = memory();
  const url = 'memory://server';
  const { signal } = new AbortController();
  const common = { codecs: referenceCodecs, log: silentLogger, signal, driver, url };
  const run = memoryFolder('run');
  await writeGlobalModel(run, 0, modelOf({ w: new Float32Array(64 * 48).fill(1) }, 'F32'));
  const lines: string[] = [];
  const onListening = (): void => {
    const folder = failing(memoryFolder(SITE), disk);
    const link = siteLink({ ...common, site: SITE, folder, retryMs: 500 });
    const trainer = trainerOf({ learn: ({ w }) => ({ w: (w as Float32Array).map((value) => value + 1) }) });
    const client = {
      ...common,
      site: SITE,
      link,
      folder,
      memory: () => ({ rssBytes: 1, peakRssBytes: 1 }),
      makeTrainer: async () => trainer,
    };
    void runClient({ ...client, onFailure: (failure) => void lines.push(`site: ${failureWords(failure)}`) })
      .catch(() => {})
      .finally(() => link.close());
  };
  const job = parseJob({ rounds: 1, sites: [SITE], idleMs: 2000 }, 'the job');
  const options = { ...common, listeners: [common], job, run, files: {}, emit: () => {}, onListening };
  await runServer(options).catch(({ message }: Error) => lines.push(`server: ${message}`));
  if (lines.length > 0) throw new Error(lines.join('\n'));
  return 'trained';
}

/** The check of a work folder before the site connects. */
async function starting(work: 'a file' | 'below a file' | 'a new folder', { folder }: Surroundings): Promise<string> {
  const file = join(folder, 'notes.txt');
  writeFileSync(file, 'not a folder');
  mkdirSync(join(folder, 'there'));
  chmodSync(join(folder, 'there'), 0o700);
  const path = work === 'a new folder' ? join(folder, 'there/of/its/own') : work === 'a file' ? file : join(file, 'work');
  await checkWritable(path, '--work');
  return 'it can be written';
}

const told = (file: string, errno: string, words: string, fault: string): RegExp =>
  new RegExp(`^site: cannot write ${WORK}/\\S*${file}\\S*: ${words}.*\\(${errno}\\).*--work.*\\nserver: .*site-1 ${fault} in round 1`);

export const SITE_DISK: FieldTable<Disk> = {
  title: 'The disk of a site',
  intro: 'A site’s terminal has the path and what to do; the server hears which kind of fault it is, and no path.',
  run: (input, surroundings) => ('work' in input ? starting(input.work, surroundings) : training(input)),
  rows: [
    {
      name: 'a disk that is full when the model comes',
      from: 'NVFlare, transformers',
      input: { errno: 'ENOSPC', file: 'received-' },
      refusal: told('received-', 'ENOSPC', 'the disk is full; free some space', 'its disk is full'),
      advice: 'The round is lost at this site, and the next one tried again; free some space, or move the work folder.',
    },
    {
      name: 'a disk that is full when the result is kept',
      from: 'NVFlare, transformers',
      input: { errno: 'ENOSPC', file: 'result' },
      refusal: told('result', 'ENOSPC', 'the disk is full; free some space', 'its disk is full'),
      advice: 'The round is lost at this site, and the next one tried again; free some space, or move the work folder.',
    },
    {
      name: 'a quota that is used up',
      from: 'clusters with home folders',
      input: { errno: 'EDQUOT', file: 'received-' },
      refusal: told('received-', 'EDQUOT', 'the disk quota is used up', 'the quota of its disk is used up'),
      advice: 'The server hears that it is the quota; use a folder on another disk (`--work`).',
    },
    {
      name: 'a disk that has become read-only',
      from: 'disks with errors, network drives',
      input: { errno: 'EROFS', file: 'received-' },
      refusal: told('received-', 'EROFS', 'the file system is read-only', 'its disk is read-only'),
      advice: 'The server hears that it is read-only; check the disk.',
    },
    {
      name: 'a work folder of another user',
      from: 'containers, sudo',
      input: { errno: 'EACCES', file: 'received-' },
      refusal: told('received-', 'EACCES', 'permission denied', 'it may not write to its folder'),
      advice: 'The path is named; change its permissions, or choose another folder.',
    },
    {
      name: 'a disk with an input/output error',
      from: 'disks with errors',
      input: { errno: 'EIO', file: 'received-' },
      refusal: new RegExp(`^site: cannot write ${WORK}/\\S+: the disk reported an input/output error; check the disk \\(EIO\\)\\nserver: `),
      advice: 'The path is named; the disk is what to look at.',
    },
    {
      name: 'a work folder that is a file',
      from: 'mistyped paths',
      input: { work: 'a file' },
      refusal: /notes\.txt.*--work names another folder/,
      advice: 'An error before the site connects, with exit code 2.',
    },
    {
      name: 'a work folder below a file',
      from: 'mistyped paths',
      input: { work: 'below a file' },
      refusal: /a part of the path is a file.*--work names another folder/,
      advice: 'An error before the site connects, with exit code 2.',
    },
    {
      name: 'a work folder that does not exist yet',
      from: 'first starts',
      input: { work: 'a new folder' },
      gives: 'it can be written',
      advice: 'It is made, for this user alone.',
    },
  ],
};
