// Folders that another process works in, or has died in: locks, with processes where those are the point.
import { type ChildProcess, spawnSync } from 'node:child_process';
import { utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { lockServer, lockSimulation } from '../../src/cli/run-locks.js';
import { lockWork } from '../../src/cli/work-locks.js';
import { type FolderLock, lockFolder } from '../../src/node/storage/folder-lock.js';
import { ownIdentity, type ProcessIdentity } from '../../src/node/storage/process-identity.js';
import { jobFile, run, start } from '../e2e/command.js';
import type { FieldTable, Surroundings } from './situation.js';

type Holder = Partial<ProcessIdentity>;

interface Locked {
  /** What the file of the lock says; by default this process. `text` is there as it is. */
  readonly holder: () => Holder | { readonly text: string };
  /** How long ago it was written. */
  readonly ageMs?: number;
}

interface AtOnce {
  /** The command that runs, and the line that it writes when it has begun. */
  readonly first: readonly string[];
  readonly begun: string;
  /** The one that comes to the same folder, and may not. */
  readonly second: readonly string[];
}

interface Roles {
  /** What takes the folder, and what comes to it then. */
  readonly roles: readonly [Role, Role];
}

const LOCK = { name: 'site.lock', what: 'the site lab', advice: 'use another folder' };

function locked({ holder, ageMs = 0 }: Locked, folder: string): string {
  const found = holder();
  const whole = { ...ownIdentity(), what: 'the site lab', since: '2026-01-01T10:00:00.000Z', ...found };
  const file = join(folder, LOCK.name);
  writeFileSync(file, 'text' in found ? found.text : JSON.stringify(whole));
  if (ageMs > 0) utimesSync(file, new Date(Date.now() - ageMs), new Date(Date.now() - ageMs));
  const lock: FolderLock = lockFolder(folder, LOCK);
  lock.release();
  return 'taken';
}

/** What takes a folder, with the product's own locks. */
const ROLES = {
  server: async (folder: string) => lockServer(folder, false),
  'server of a simulation': async (folder: string) => lockServer(folder, true),
  simulation: (folder: string) => lockSimulation(folder),
  'site in its default folder': (work: string) => lockWork(work, { site: 'a', connect: nobody }),
  'site in a folder that was named': (work: string) => lockWork(work, { site: 'a', connect: nobody, work }),
  'site of another server in its default folder': (work: string) => lockWork(work, { site: 'a', connect: 'tcp://127.0.0.1:10' }),
  'site in a run': async (work: string) => {
    const locks = await lockWork(work, { site: 'a', connect: `tcp://127.0.0.1:${++port}` });
    locks.enter('run-7');
    return locks;
  },
} as const;

type Role = keyof typeof ROLES;

let port = 1000;

async function rolesIn({ roles: [first, second] }: Roles, folder: string): Promise<string> {
  const held = await ROLES[first](folder);
  try {
    (await ROLES[second](folder)).release();
    return 'both';
  } finally {
    held.release();
  }
}

async function atOnce({ first, begun, second }: AtOnce, folder: string): Promise<string> {
  jobFile(folder);
  const running = start(first, folder);
  try {
    await running.until(begun);
    const { code, stderr } = await run(second, folder);
    if (code !== 2) return `${code}: ${stderr.split('\n').at(-2)}`;
    throw new Error(stderr.split('\n').findLast((line) => line.startsWith('fedstream: ')));
  } finally {
    await ended(running.child);
  }
}

function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
    child.kill('SIGKILL');
  });
}

const nobody = 'tcp://127.0.0.1:9';
const site = (name: string, ...more: string[]): string[] => ['client', '--connect', nobody, '--allow-plain-text', '--site', name, ...more];
const server = ['server', '--job', 'job.json', '--name', 'lungs', '--listen', 'tcp://127.0.0.1:0'];
const again = ['server', '--resume', 'runs/lungs', '--listen', 'tcp://127.0.0.1:0'];

const dead = (): number => spawnSync(process.execPath, ['-e', '']).pid as number;

export const FOLDERS_IN_USE: FieldTable<Locked | Roles | AtOnce> = {
  title: 'Two processes in one folder',
  intro: 'A folder of work or of a run is one process’s at a time; the message says whose, and since when, and the exit code is 2.',
  run: async (input, { folder }: Surroundings) => {
    if ('holder' in input) return locked(input, folder);
    return 'roles' in input ? rolesIn(input, folder) : atOnce(input, folder);
  },
  rows: [
    {
      name: 'a process that works in the folder',
      from: 'NVFlare',
      input: { holder: () => ({}) },
      refusal:
        /is in use by the site lab \(process \d+ on [^)]+\) since 2026-01-01T10:00:00\.000Z: end that one first, or use another folder$/,
      advice: 'End it, or use another folder.',
    },
    {
      name: 'the lock of a process that was killed',
      from: 'Flower',
      input: { holder: () => ({ pid: dead() }) },
      gives: 'taken',
      advice: 'The lock is taken over; nothing is to be removed by hand.',
    },
    {
      name: 'the lock of a killed process whose number another one has now',
      from: 'containers',
      input: { holder: () => ({ pid: process.ppid, started: '1' }) },
      gives: 'taken',
      advice: 'When the process began is compared too.',
    },
    {
      name: 'the lock of a container that began anew with the same name and number',
      from: 'Kubernetes',
      input: { holder: () => ({ started: '1' }) },
      gives: 'taken',
      advice: 'The lock is taken over.',
    },
    {
      name: 'the lock from before the machine was started anew',
      from: 'a lab computer',
      input: { holder: () => ({ machine: 'another-boot pid:[1]' }) },
      gives: 'taken',
      advice: 'The lock is taken over.',
    },
    {
      name: 'a process on another machine that shares the disk',
      from: 'Slurm',
      input: { holder: () => ({ host: 'node-17' }) },
      refusal:
        /in use by the site lab \(process \d+ on node-17\) since .*; if that process is gone, remove .*site\.lock, or wait 5 minutes/,
      advice: 'Its process cannot be seen from here; its lock counts while it is renewed.',
    },
    {
      name: 'a process on another machine that has not been heard of for ten minutes',
      from: 'Slurm',
      input: { holder: () => ({ host: 'node-17' }), ageMs: 600_000 },
      gives: 'taken',
      advice: 'A lock that is not renewed for five minutes is taken over.',
    },
    {
      name: 'a process in another container of the same host name',
      from: 'Docker',
      input: { holder: () => ({ machine: `${ownIdentity().machine.split(' ')[0]} pid:[1]` }) },
      refusal: /is in use by the site lab .*; if that process is gone, remove/,
      advice: 'Numbers of processes mean nothing there; its lock counts while it is renewed.',
    },
    {
      name: 'a lock that is no JSON',
      from: 'a full disk',
      input: { holder: () => ({ text: '{"pid":' }) },
      refusal: /is in use: .*site\.lock says so\. If nothing uses it, remove that file/,
      advice: 'Remove the file that the message names, once nothing uses the folder.',
    },
    {
      name: 'two sites with one --work',
      from: 'Flower',
      input: { first: site('a', '--work', 'w'), begun: 'looking for the server', second: site('b', '--work', 'w') },
      refusal:
        /^fedstream: .*\/w is in use by the site a of tcp:\/\/127\.0\.0\.1:9 \(process \d+ on .*: end that one first, or give this one a folder of its own \(--work\) \[bad-argument\]$/,
      advice: 'Give each site a folder of its own.',
    },
    {
      name: 'a site that is started twice, without --work',
      from: 'systemd',
      input: { roles: ['site in its default folder', 'site in its default folder'] },
      refusal: /is in use by the site a of tcp:\/\/127\.0\.0\.1:9 .* since/,
      advice: 'The second one ends; it does not throw the first one out of its session.',
    },
    {
      name: 'a site in two runs of two servers, without --work',
      from: 'Flower',
      input: { roles: ['site in its default folder', 'site of another server in its default folder'] },
      gives: 'both',
      advice: 'The default folder has one for each run.',
    },
    {
      name: 'a site that comes to its run by two addresses, without --work',
      from: 'Kubernetes',
      input: { roles: ['site in a run', 'site in a run'] },
      refusal: /\/run-7 is in use by the site a of /,
      advice: 'The folder of the run is one process’s.',
    },
    {
      name: '--resume of a run whose server runs',
      from: 'NVFlare',
      input: { first: server, begun: 'listening on', second: again },
      refusal:
        /^fedstream: .*\/runs\/lungs is in use by the server of this run \(process \d+ on .* since .*: end that one first, or start another run \[bad-argument\]$/,
      advice: 'End the server that runs, or start another run.',
    },
    {
      name: 'a simulation that is to go on with the run of a server that runs',
      from: 'NVFlare',
      input: { roles: ['server', 'simulation'] },
      refusal: /is in use by the server of this run .*: end that one first, or start another run$/,
      advice: 'End the server that runs, or start another run.',
    },
    {
      name: 'a server that is to go on with a simulation that runs',
      from: 'NVFlare',
      input: { roles: ['simulation', 'server'] },
      refusal: /is in use by a simulation .*: end that one first, or start another run$/,
      advice: 'End the simulation, or start another run.',
    },
    {
      name: 'a simulation and the server that it starts',
      from: 'NVFlare',
      input: { roles: ['simulation', 'server of a simulation'] },
      gives: 'both',
      advice: 'They belong together.',
    },
  ],
};
